//! Wrong queries that a model plausibly writes instead of the right one, each with the failure it is.

use super::database::{Answer, Database};
use super::query::{Column, Query};

pub const NO_SELECT: &str = "sql_no_select";
pub const WRONG_SCHEMA: &str = "sql_wrong_schema";
pub const PROSE_WRAPPED: &str = "sql_prose_wrapped";
pub const UNNEEDED_JOIN: &str = "sql_unneeded_join";
pub const MISSING_JOIN: &str = "sql_missing_join";
pub const WRONG_AGGREGATION: &str = "sql_wrong_aggregation";
pub const WRONG_FILTER: &str = "sql_wrong_filter";
pub const WRONG_RESULT: &str = "sql_wrong_result";

/// A wrong answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Corruption {
    pub failure: &'static str,
    pub text: String,
}

fn wrong(failure: &'static str, text: String) -> Corruption {
    Corruption { failure, text }
}

/// The wrong queries near `sql`. Whether one really answers otherwise is for the caller to see.
pub fn corruptions(sql: &str, database: &Database) -> Vec<Corruption> {
    let query = Query::parse(sql);
    let mut found = Vec::new();
    comparisons(&query, &mut found);
    literals(&query, database, &mut found);
    conditions(&query, &mut found);
    aggregates(&query, database, &mut found);
    ordering(&query, &mut found);
    columns(&query, database, &mut found);
    missing_joins(&query, database, &mut found);
    unneeded_joins(&query, database, &mut found);
    names(&query, database, &mut found);
    found.retain(|corruption| corruption.text != sql);
    found.sort();
    found.dedup();
    found
}

/// Answers of the wrong form: the right query in prose or a fence, or no query at all.
pub fn malformed(sql: &str, answer: &Answer) -> Vec<Corruption> {
    let mut found: Vec<Corruption> = [
        format!("Here is the query:\n{sql}"),
        format!("```sql\n{sql}\n```"),
        format!("{sql}\nThis query answers the question."),
        format!("Answer: {sql}"),
    ]
    .map(|text| wrong(PROSE_WRAPPED, text))
    .into();
    let cells: Vec<&str> = answer
        .iter()
        .take(3)
        .flatten()
        .map(|cell| cell.trim_start_matches('\''))
        .collect();
    found.push(wrong(NO_SELECT, format!("{}.", cells.join(", "))));
    if let Some(rest) = sql
        .strip_prefix("select ")
        .filter(|rest| !rest.contains("select"))
    {
        found.push(wrong(NO_SELECT, rest.to_string()));
    }
    found
}

/// Every comparison with a literal or a subquery, turned round.
fn comparisons(query: &Query, found: &mut Vec<Corruption>) {
    for (at, token) in query.tokens.iter().enumerate() {
        let literal = query
            .tokens
            .get(at + 1)
            .is_some_and(|next| next.is_literal());
        let subquery = query.is(at + 1, "(") && query.is(at + 2, "select");
        let negated = at > 0 && query.is(at - 1, "not");
        let others: &[&str] = match token.text {
            ">" if literal => &["<", ">="],
            "<" if literal => &[">", "<="],
            ">=" if literal => &["<=", ">"],
            "<=" if literal => &[">=", "<"],
            ">" if subquery => &["<"],
            "<" if subquery => &[">"],
            "=" if literal || subquery => &["!="],
            "!=" | "<>" if literal || subquery => &["="],
            "like" if !negated => &["not like"],
            "between" if !negated => &["not between"],
            "in" if !negated => &["not in"],
            _ => &[],
        };
        for other in others {
            found.push(wrong(WRONG_FILTER, query.edit(&[(at..at + 1, other)])));
        }
        if token.is("not") {
            found.push(wrong(WRONG_FILTER, query.edit(&[(at..at + 1, "")])));
        }
    }
}

/// Each `column = 'text'` with the column's other values, each number with a digit too many.
fn literals(query: &Query, database: &Database, found: &mut Vec<Corruption>) {
    for column in query.columns(0..query.tokens.len(), database) {
        let at = column.span.end + 1;
        if query.is(at - 1, "=")
            && query
                .tokens
                .get(at)
                .is_some_and(|token| token.text.starts_with('\''))
        {
            let sql = format!(
                "select distinct {} from {} order by 1",
                column.name, column.table
            );
            for value in database.values(&sql).unwrap_or_default() {
                let literal = format!("'{}'", value.replace('\'', "''"));
                found.push(wrong(WRONG_FILTER, query.edit(&[(at..at + 1, &literal)])));
            }
        }
    }
    for (at, token) in query.tokens.iter().enumerate() {
        if token.text.parse::<u32>().is_ok_and(|number| number > 0) {
            let failure = if at > 0 && query.is(at - 1, "limit") {
                WRONG_RESULT
            } else {
                WRONG_FILTER
            };
            found.push(wrong(
                failure,
                query.edit(&[(at..at + 1, &format!("{}0", token.text))]),
            ));
        }
    }
}

/// Conditions left out, and `and` for `or`.
fn conditions(query: &Query, found: &mut Vec<Corruption>) {
    for clause in ["where", "having"]
        .iter()
        .filter_map(|word| query.clause(word))
    {
        found.push(wrong(WRONG_FILTER, query.edit(&[(clause, "")])));
    }
    let (parts, connectors) = query.conditions();
    for &at in &connectors {
        let other = if query.is(at, "and") { "or" } else { "and" };
        found.push(wrong(WRONG_FILTER, query.edit(&[(at..at + 1, other)])));
    }
    for (index, part) in parts.iter().enumerate().filter(|_| parts.len() > 1) {
        // The first condition goes with the connector after it, any other with the one before.
        let span = if index == 0 {
            part.start..part.end + 1
        } else {
            part.start - 1..part.end
        };
        found.push(wrong(WRONG_FILTER, query.edit(&[(span, "")])));
    }
}

/// Another aggregate, none at all, no `distinct` inside it, no grouping.
fn aggregates(query: &Query, database: &Database, found: &mut Vec<Corruption>) {
    let group = query.clause("group");
    let mut add = |text| found.push(wrong(WRONG_AGGREGATION, text));
    for at in 0..query.tokens.len() {
        if !query.is(at + 1, "(") {
            continue;
        }
        let others: &[&str] = match query.tokens[at].text {
            "avg" => &["sum", "max"],
            "sum" => &["avg", "count"],
            "max" => &["min", "avg"],
            "min" => &["max", "avg"],
            "count" => &[],
            _ => continue,
        };
        for other in others {
            add(query.edit(&[(at..at + 1, other)]));
        }
        if query.is(at + 2, "distinct") {
            add(query.edit(&[(at + 2..at + 3, "")]).replace("( ", "("));
        }
        let close = (at..query.tokens.len()).find(|close| query.is(*close, ")"));
        let (Some(close), None, true) = (close, &group, query.select_list().contains(&at)) else {
            continue;
        };
        if query.is(at + 2, ")") {
            continue;
        }
        if !query.is(at + 2, "*") {
            add(query.edit(&[(at..close + 1, query.text(&(at + 2..close)))]));
        } else if let Some(source) = query.sources.first() {
            // The rows' own names (the second column, after the id) instead of their number.
            let label = database
                .columns(source.table)
                .get(1)
                .map_or("*", String::as_str);
            let label = match source.names.len() {
                1 => label.to_string(),
                _ => format!("{}.{label}", source.alias),
            };
            add(query.edit(&[(at..close + 1, &label)]));
        }
    }
    if let Some(clause) = group {
        add(query.edit(&[(clause, "")]));
    }
}

/// The other direction, no order, no limit, repeated rows.
fn ordering(query: &Query, found: &mut Vec<Corruption>) {
    let mut add = |text| found.push(wrong(WRONG_RESULT, text));
    if let Some(order) = query.clause("order") {
        let last = order.end - 1;
        let flipped = match order.clone().find(|at| query.is(*at, "desc")) {
            Some(at) => query.edit(&[(at..at + 1, "")]),
            None => {
                let descending = format!("{} desc", query.tokens[last].text);
                query.edit(&[(last..last + 1, &descending)])
            }
        };
        add(flipped);
        add(query.edit(&[(order, "")]));
    }
    if let Some(limit) = query.clause("limit") {
        add(query.edit(&[(limit, "")]));
    }
    if query.is(1, "distinct") {
        add(query.edit(&[(1..2, "")]));
    }
}

/// Another column of the same table, shown or ordered by.
fn columns(query: &Query, database: &Database, found: &mut Vec<Corruption>) {
    let places = [Some(query.select_list()), query.clause("order")];
    for column in places
        .into_iter()
        .flatten()
        .flat_map(|span| query.columns(span, database))
    {
        let name = column.span.end - 1..column.span.end;
        for other in database.columns(column.table) {
            found.push(wrong(WRONG_RESULT, query.edit(&[(name.clone(), other)])));
        }
    }
}

/// A join left out: what was its table's is read off the key that led to it.
fn missing_joins(query: &Query, database: &Database, found: &mut Vec<Corruption>) {
    let everything = query.columns(0..query.tokens.len(), database);
    for source in &query.sources {
        let Some(join) = &source.join else { continue };
        let dropped = |column: &&Column| column.qualifier == Some(source.alias);
        let of_source =
            |span: &std::ops::Range<usize>| query.tokens[span.start].text == source.alias;
        let key = if of_source(&join.left) {
            &join.right
        } else {
            &join.left
        };
        let key = query.text(key);
        let outside = |column: &&Column| !join.span.contains(&column.span.start);
        let mut edits: Vec<_> = everything
            .iter()
            .filter(dropped)
            .filter(outside)
            .map(|column| (column.span.clone(), key))
            .collect();
        edits.push((join.span.clone(), ""));
        found.push(wrong(MISSING_JOIN, query.edit(&edits)));
    }
}

/// A join the question does not need, over one of the table's foreign keys.
fn unneeded_joins(query: &Query, database: &Database, found: &mut Vec<Corruption>) {
    let [source] = &query.sources[..] else { return };
    for link in &database.links {
        let (table, own, other) = if link.table == source.table {
            (&link.parent, &link.column, &link.key)
        } else if link.parent == source.table {
            (&link.table, &link.key, &link.column)
        } else {
            continue;
        };
        let initial = |name: &str| name.chars().take(1).collect::<String>();
        let (alias, mut joined) = (initial(source.table), initial(table));
        if joined == alias {
            joined.push('2');
        }
        let from = format!(
            "{} {alias} join {table} {joined} on {alias}.{own} = {joined}.{other}",
            source.table
        );
        let columns = query.columns(0..query.tokens.len(), database);
        let renamed: Vec<String> = columns
            .iter()
            .map(|column| format!("{alias}.{}", column.name))
            .collect();
        let mut edits: Vec<_> = columns
            .iter()
            .zip(&renamed)
            .map(|(column, name)| (column.span.clone(), name.as_str()))
            .collect();
        edits.push((source.names.clone(), &from));
        found.push(wrong(UNNEEDED_JOIN, query.edit(&edits)));
    }
}

/// A table or a column that is not in the schema.
fn names(query: &Query, database: &Database, found: &mut Vec<Corruption>) {
    let mut add =
        |span, name: String| found.push(wrong(WRONG_SCHEMA, query.edit(&[(span, &name)])));
    for source in &query.sources {
        let table = source.names.start..source.names.start + 1;
        add(table, singular(source.table));
    }
    for column in query.columns(0..query.tokens.len(), database) {
        let name = column.span.end - 1..column.span.end;
        let other = match column.name.strip_suffix("_id") {
            Some(stem) => stem.to_string(),
            None => format!("{}_{}", singular(column.table), column.name),
        };
        add(name, other);
    }
}

/// The name of one row of a table: `books` -> `book`, `visit` -> `visits`.
fn singular(table: &str) -> String {
    table
        .strip_suffix('s')
        .map_or_else(|| format!("{table}s"), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "
        create table teams(id integer primary key, name text);
        create table staff(id integer primary key, name text, team_id integer references teams(id), pay integer);
        insert into teams values (1, 'Red'), (2, 'Blue');
        insert into staff values (1, 'Ann', 1, 10), (2, 'Ben', 2, 20), (3, 'Cid', 2, 30);";

    fn texts(sql: &str, failure: &str) -> Vec<String> {
        let database = Database::build(SCRIPT).unwrap();
        let all = corruptions(sql, &database).into_iter();
        all.filter(|wrong| wrong.failure == failure)
            .map(|wrong| wrong.text)
            .collect()
    }

    #[test]
    fn filters() {
        let sql = "select name from staff where pay between 10 and 20 and team_id = 2;";
        let texts = texts(sql, WRONG_FILTER);
        for expected in [
            "select name from staff;",
            "select name from staff where team_id = 2;",
            "select name from staff where pay between 10 and 20;",
            "select name from staff where pay between 10 and 20 or team_id = 2;",
            "select name from staff where pay not between 10 and 20 and team_id = 2;",
            "select name from staff where pay between 10 and 20 and team_id != 2;",
        ] {
            assert!(
                texts.iter().any(|text| text == expected),
                "{expected}: {texts:#?}"
            );
        }
    }

    #[test]
    fn joins() {
        let joined =
            "select s.name from staff s join teams t on s.team_id = t.id where t.name = 'Blue';";
        assert_eq!(
            texts(joined, MISSING_JOIN),
            ["select s.name from staff s where s.team_id = 'Blue';"]
        );
        let marked = joined
            .replace("staff s", "staff as s")
            .replace("teams t", "teams as t");
        assert_eq!(
            texts(&marked, MISSING_JOIN),
            ["select s.name from staff as s where s.team_id = 'Blue';"]
        );
        assert!(texts(joined, UNNEEDED_JOIN).is_empty());
        assert_eq!(
            texts("select count(*) from staff where pay > 10;", UNNEEDED_JOIN),
            ["select count(*) from staff s join teams t on s.team_id = t.id where s.pay > 10;"]
        );
    }

    #[test]
    fn aggregates_and_order() {
        let grouped = "select team_id, count(*) from staff group by team_id;";
        assert_eq!(
            texts(grouped, WRONG_AGGREGATION),
            ["select team_id, count(*) from staff;"]
        );
        assert_eq!(
            texts("select count(*) from staff;", WRONG_AGGREGATION),
            ["select name from staff;"]
        );
        let top = texts(
            "select name from staff order by pay desc limit 1;",
            WRONG_RESULT,
        );
        for expected in [
            "select name from staff order by pay limit 1;",
            "select name from staff order by pay desc;",
            "select name from staff limit 1;",
            "select name from staff order by id desc limit 1;",
        ] {
            assert!(
                top.iter().any(|text| text == expected),
                "{expected}: {top:#?}"
            );
        }
    }
}
