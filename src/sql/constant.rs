//! Whether a query says something that no row has a part in, by its text alone.

use super::tables::named;
use super::tokens::{Kind, Token, tokens};

/// Functions that say something of rows without a column of theirs.
const OF_ROWS: [&str; 12] = [
    "columns",
    "count",
    "count_star",
    "sum",
    "total",
    "group_concat",
    "string_agg",
    "row_number",
    "rank",
    "dense_rank",
    "ntile",
    "random",
];
/// Words of an expression that are no names; what is no word of theirs is taken for one.
const OPERATORS: [&str; 22] = [
    "all", "and", "as", "between", "case", "cast", "collate", "distinct", "else", "escape",
    "exists", "false", "glob", "in", "is", "like", "not", "null", "or", "then", "true", "when",
];
/// What ends the columns of a SELECT, beside FROM.
const ENDS: [&str; 8] = [
    "where",
    "group",
    "order",
    "limit",
    "union",
    "intersect",
    "except",
    ";",
];

/// Whether all that `sql` returns is written in it: it reads no table, or returns no column of one and no count. What it returns may still hang on
/// rows, as a constant for each of them does. One that hides better, such as `3 + 0 * id`, is taken for a query.
pub fn is_constant(sql: &str) -> bool {
    let tokens = tokens(sql);
    let tables = named(sql);
    let own = |table: &String| !table.to_ascii_lowercase().starts_with("sqlite_");
    if !tables.iter().any(own) && !has_schema(&tokens) {
        return true;
    }
    let columns = outputs(&tokens);
    !columns.is_empty() && columns.iter().flatten().all(|says| !says)
}

/// Whether a table is called by its schema too, which no name that the query gives by WITH is.
fn has_schema(tokens: &[Token]) -> bool {
    let name = |token: &Token| matches!(token.kind, Kind::Word | Kind::Quoted);
    tokens.windows(4).any(|found| {
        let begins = found[0].is("from") || found[0].is("join");
        let of_system = found[3].text.to_ascii_lowercase().starts_with("sqlite_");
        begins && name(&found[1]) && found[2].is(".") && name(&found[3]) && !of_system
    })
}

/// Of each SELECT outside brackets, whether its tokens, as far as FROM, say something of rows.
fn outputs(tokens: &[Token]) -> Vec<Vec<bool>> {
    let (mut all, mut depth, mut inside) = (Vec::new(), 0_usize, false);
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &tokens[before]);
        match token.text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ if token.is("select") => {
                all.push(Vec::new());
                inside = true;
                continue;
            }
            // `IS DISTINCT FROM` compares.
            _ if token.is("from") => inside &= before.is_some_and(|before| before.is("distinct")),
            _ if ENDS.iter().any(|end| token.is(end)) => inside = false,
            _ => {}
        }
        if let (true, Some(own)) = (inside, all.last_mut()) {
            own.push(of_rows(&tokens[..at], token, tokens.get(at + 1)));
        }
    }
    all
}

/// Whether a token among the columns of a SELECT, which stands behind `before`, says something of rows.
fn of_rows(before: &[Token], token: &Token, next: Option<&Token>) -> bool {
    let is = |token: &Token, words: &[&str]| words.iter().any(|word| token.is(word));
    let follows = |words: &[&str]| before.last().is_some_and(|before| is(before, words));
    // Names of columns and types.
    let cast = before.iter().rev().take(2).filter(|token| token.is(":"));
    let names = follows(&["as", "collate", ")", "end"])
        || cast.count() == 2
        || before.last().is_some_and(Token::is_literal);
    match token.kind {
        Kind::Symbol => token.is("*") && follows(&["select", "distinct", "all", ",", "(", "."]),
        Kind::Quoted => !names,
        Kind::Word if token.is("select") => true,
        Kind::Word if next.is_some_and(|next| next.is("(")) => is(token, &OF_ROWS),
        Kind::Word if token.is("end") => !before.iter().any(|before| before.is("case")),
        Kind::Word => !(names || is(token, &OPERATORS)),
        Kind::Text | Kind::Number => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_a_query_is_told_from_what_it_reads() {
        for constant in [
            "select 3",
            "values (3)",
            "select 3 from boats limit 1",
            "select distinct 3 n from boats where id > 0",
            "SELECT MAX(3) AS m FROM boats",
            "select -3, upper('b'), null, case when 1 then 3 end x from boats",
            "select 'b' from boats union select 'c' from boats;",
            "select cast('3' as integer) from boats",
            "select count(*) from (select 1 union select 2)",
            "select 3 from sqlite_master limit 1",
            "with b as (select * from boats) select 3",
            "select count(*) from json_each('[1, 2]')",
            "select 3::integer from boats",
            "select 3 from main.sqlite_master",
        ] {
            assert!(is_constant(constant), "{constant}");
        }
        for query in [
            "select name from boats",
            "select * from boats",
            "select b.* from boats b",
            "select count(*) from boats",
            "select count(1), 3 from boats",
            "select sum(1) from boats",
            "select \"name\" from boats",
            "select 3, name from boats",
            "select 2 * length from boats",
            "select max(length) from boats",
            "select exists(select 1 from boats where length > 3)",
            "select 'b' from boats union select name from boats",
            "select a is distinct from b from boats",
            "with b as (select * from boats) select name from b",
            "select row_number() over (order by id) from boats",
            "select range from boats",
            "select end from boats",
            "select desc, left from boats",
            "select {'n': name} from boats",
            "select count_star() from boats",
            "with boats as (select * from main.boats where length > 3) select name from boats",
        ] {
            assert!(!is_constant(query), "{query}");
        }
    }
}
