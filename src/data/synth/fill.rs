//! Fills a template's slots in every way and keeps the fillings that make a good test.

use anyhow::{Context, Result, anyhow, bail, ensure};

pub use crate::data::set::rank;
use crate::sql::tokens::{Kind, tokens};

use super::corrupt::{UNNEEDED_JOIN, corruptions};
use super::database::{Answer, Database};
use super::query::Query;
use super::spec::{Slot, Template, Value};

/// More fillings than this mean a slot's query was meant to be narrower.
const MOST_FILLINGS: usize = 5000;

/// One way to fill a template.
#[derive(Debug, Clone)]
pub struct Filling {
    /// Slot name and value, in the order of the names.
    values: Vec<(String, Value)>,
    pub sql: String,
}

impl Filling {
    /// How many slots have the same value in both.
    fn shared(&self, other: &Self) -> usize {
        let pairs = self.values.iter().zip(&other.values);
        pairs.filter(|(one, two)| one == two).count()
    }

    /// A phrasing with this filling's values in it.
    pub fn say(&self, phrasing: &str) -> String {
        self.values
            .iter()
            .fold(phrasing.to_string(), |text, (name, value)| {
                let said = match value {
                    Value::Text(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    Value::Said(said) => said.say.clone(),
                };
                text.replace(&format!("{{{name}}}"), &said)
            })
    }
}

/// Chooses as many sound fillings as the template's train and dev rows need.
pub fn choose(template: &Template, database: &Database, seed: u64) -> Result<Vec<Filling>> {
    let mut fillings = fillings(template, database)?;
    let others: Vec<Other> = fillings
        .iter()
        .filter_map(|filling| Other::of(&filling.sql, database))
        .collect();
    fillings.sort_by_cached_key(|filling| rank(seed, &[&template.id, &filling.sql]));

    let wanted = template.train + template.dev;
    let all = fillings.len();
    let mut chosen: Vec<Filling> = Vec::new();
    let mut fault = None;
    while chosen.len() < wanted {
        // The values used least so far come first, so that the rows of one template differ.
        let used = |filling: &Filling| {
            chosen
                .iter()
                .map(|other| other.shared(filling))
                .sum::<usize>()
        };
        let Some(next) = (0..fillings.len()).min_by_key(|at| used(&fillings[*at])) else {
            break;
        };
        let filling = fillings.remove(next);
        match check(&filling.sql, database, &others) {
            Ok(()) => chosen.push(filling),
            Err(error) => fault = Some(error.context(filling.sql)),
        }
    }
    let found = chosen.len();
    if found == wanted {
        return Ok(chosen);
    }
    let summary = format!("needs {wanted} fillings, {found} of its {all} are sound");
    Err(match fault {
        Some(fault) => fault.context(summary),
        None => anyhow!(summary),
    })
}

/// Every filling whose slots all have different values.
fn fillings(template: &Template, database: &Database) -> Result<Vec<Filling>> {
    let mut found = vec![Filling {
        values: Vec::new(),
        sql: template.sql.clone(),
    }];
    for (name, slot) in &template.slots {
        let values = match slot {
            Slot::List(values) => values.clone(),
            Slot::Query(sql) => {
                let values = database
                    .values(sql)
                    .with_context(|| format!("slot `{name}`: {sql}"))?;
                values.into_iter().map(Value::Text).collect()
            }
        };
        ensure!(!values.is_empty(), "slot `{name}` has no values");
        let mut next = Vec::new();
        for filling in &found {
            for value in &values {
                if filling.values.iter().all(|(_, other)| other != value) {
                    next.push(filled(filling, name, value));
                }
            }
        }
        ensure!(
            next.len() <= MOST_FILLINGS,
            "more than {MOST_FILLINGS} ways to fill its slots"
        );
        found = next;
    }
    Ok(found)
}

fn filled(filling: &Filling, name: &str, value: &Value) -> Filling {
    let text = match value {
        Value::Text(text) => text.replace('\'', "''"),
        Value::Number(number) => number.to_string(),
        Value::Said(said) => said.sql.clone(),
    };
    let mut values = filling.values.clone();
    values.push((name.to_string(), value.clone()));
    Filling {
        values,
        sql: filling.sql.replace(&format!("{{{name}}}"), &text),
    }
}

/// Another filling of the same template, for comparison.
struct Other {
    words: Vec<String>,
    answer: Answer,
}

impl Other {
    fn of(sql: &str, database: &Database) -> Option<Self> {
        let answer = database.answer(sql).ok()?;
        Some(Self {
            words: words(sql),
            answer,
        })
    }
}

/// The tokens of a query but for its numbers: a near number may well give the same answer, and that a
/// number matters is seen from the corruptions.
fn words(sql: &str) -> Vec<String> {
    let kept = tokens(sql)
        .into_iter()
        .filter(|token| token.kind != Kind::Number);
    kept.map(|token| token.text.to_string()).collect()
}

/// Fails when the query has no fixed answer, a trivial one, or one that a wrong query also gives.
/// `others` are all the template's fillings, this one among them.
fn check(sql: &str, database: &Database, others: &[Other]) -> Result<()> {
    let answer = database.answer(sql)?;
    ensure!(!answer.is_empty(), "returns no rows");
    ensure!(
        answer != [["null"]] && answer != [["0"]],
        "returns a lone NULL or 0"
    );
    ensure!(
        answer == database.answer_backwards(sql)?,
        "its answer depends on the order of the tables"
    );
    for settled in ties_settled(sql) {
        ensure!(
            answer == database.answer(&settled)?,
            "ties leave its order open"
        );
    }
    let words = words(sql);
    let same = others
        .iter()
        .any(|other| other.answer == answer && other.words != words);
    ensure!(!same, "another filling has the same answer");
    for wrong in corruptions(sql, database) {
        // A join too many is clumsy, but it may well leave the answer as it is.
        let harmless = wrong.failure == UNNEEDED_JOIN;
        if !harmless
            && database
                .answer(&wrong.text)
                .is_ok_and(|other| other == answer)
        {
            bail!("a wrong query has the same answer: {}", wrong.text);
        }
    }
    Ok(())
}

/// An ordered query with its ties settled by the first column, both ways. (SQLite does not walk an ordered
/// query backwards.)
fn ties_settled(sql: &str) -> Vec<String> {
    let query = Query::parse(sql);
    let Some(order) = query.clause("order") else {
        return Vec::new();
    };
    let last = order.end - 1..order.end;
    let by = query.text(&last);
    [", 1", ", 1 desc"]
        .map(|settled| query.edit(&[(last.clone(), &format!("{by}{settled}"))]))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "
        create table pets(id integer primary key, name text, kind text, age integer);
        insert into pets values (1, 'Tom', 'cat', 9), (2, 'Ivy', 'cat', 2), (3, 'Ace', 'dog', 7),
        (4, 'Rex', 'dog', 3), (5, 'Gus', 'dog', 12), (6, 'Pip', 'bird', 7);"; // two are 7

    fn fault(sql: &str) -> Option<String> {
        let database = Database::build(SCRIPT).unwrap();
        let fault = check(sql, &database, &[]).err();
        fault.map(|error| error.to_string())
    }

    #[test]
    fn a_sound_query_has_one_answer_that_wrong_queries_do_not_give() {
        assert_eq!(fault("select name from pets where age > 3;"), None);
        assert_eq!(
            fault("select name from pets order by age desc limit 2;"),
            None
        );
        for (sql, expected) in [
            ("select name from pets where age > 20;", "no rows"),
            ("select max(age) from pets where age > 20;", "lone NULL"),
            (
                "select count(*) from pets where age > 20;",
                "lone NULL or 0",
            ),
            ("select name from pets order by age desc limit 3;", "ties"),
            (
                "select name from pets where kind = 'dog' limit 1;",
                "order of the tables",
            ),
            // Nobody is 4, so `>=` would do as well.
            ("select name from pets where age > 4;", "age >= 4;"),
            // The oldest of all is a dog, so the filter makes no difference.
            (
                "select max(age) from pets where kind = 'dog';",
                "select max(age) from pets;",
            ),
            ("delete from pets;", "not a select"),
        ] {
            let fault = fault(sql).unwrap_or_else(|| panic!("{sql} passes"));
            assert!(fault.contains(expected), "{sql}: {fault}");
        }
    }

    #[test]
    fn fillings_take_every_pair_of_different_values() {
        let template: Template = toml::from_str(
            "id = 't'\nask = ['{a} {b}']\nsql = \"select '{a}', {b};\"\n\
             slots.a = [\"O'Neil\", 7]\nslots.b = [7, { say = 'most', sql = 'max(age)' }]",
        )
        .unwrap();
        let made = fillings(&template, &Database::build(SCRIPT).unwrap()).unwrap();
        let pairs: Vec<_> = made
            .iter()
            .map(|one| (one.say("{a} {b}"), one.sql.as_str()))
            .collect();
        let expected = [
            ("O'Neil 7", "select 'O''Neil', 7;"),
            ("O'Neil most", "select 'O''Neil', max(age);"),
            ("7 most", "select '7', max(age);"),
        ];
        assert_eq!(pairs, expected.map(|(said, sql)| (said.to_string(), sql)));
    }
}
