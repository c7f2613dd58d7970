//! Parts of a set: by domain, curriculum and the data set's own `slice`, by what the reference query does, by the reply.

use super::clean;
use super::example::Example;
use super::score::ScoredRow;
use crate::sql::tokens::tokens;
use std::collections::BTreeMap;

/// The names of the slices that a row lies in.
pub fn slices(example: &Example, row: &ScoredRow) -> Vec<String> {
    let mut names = asked(example);
    let clean = clean::class(&row.predicted_sql) == clean::CLEAN;
    names.push(
        if clean {
            "clean_output"
        } else {
            "unclean_output"
        }
        .to_owned(),
    );
    names
}

/// Those of them that what is asked decides, whatever is answered.
pub fn asked(example: &Example) -> Vec<String> {
    let mut names = Vec::new();
    for field in ["domain", "curriculum"] {
        names.extend(example.text(field).map(|value| format!("{field}:{value}")));
    }
    names.extend(example.text("slice").map(str::to_owned));
    // A row whose gold results are files lies in none of them.
    let gold = example.text("gold_sql").filter(|gold| !gold.is_empty());
    names.extend(gold.into_iter().flat_map(features).map(str::to_owned));
    names
}

/// What a query does.
pub(super) fn features(sql: &str) -> impl Iterator<Item = &'static str> {
    let words = tokens(sql);
    let has = |word: &str| words.iter().any(|token| token.is(word));
    let follows = |first: &str, second: &str| {
        let mut pairs = words.windows(2);
        pairs.any(|pair| pair[0].is(first) && pair[1].is(second))
    };
    let aggregates = ["sum", "avg", "count", "max", "min"];
    let aggregate = aggregates.iter().any(|name| follows(name, "("));
    let join = has("join");
    [
        (join, "join"),
        (!join, "single_table"),
        (aggregate, "aggregate"),
        (has("where"), "filter"),
        (follows("group", "by"), "group_by"),
        (follows("order", "by"), "order_by"),
    ]
    .into_iter()
    .filter_map(|(is, name)| is.then_some(name))
}

/// The rows of every slice, by its name.
pub fn by_slice<'a>(
    examples: &[Example],
    rows: &'a [ScoredRow],
) -> BTreeMap<String, Vec<&'a ScoredRow>> {
    let mut groups: BTreeMap<String, Vec<&ScoredRow>> = BTreeMap::new();
    for (example, row) in examples.iter().zip(rows) {
        for name in slices(example, row) {
            groups.entry(name).or_default().push(row);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_of_words_not_of_text() {
        let of = |sql| features(sql).collect::<Vec<_>>();
        assert_eq!(
            of("SELECT count(*) FROM a JOIN b ON x WHERE y GROUP  BY z ORDER\nBY 1"),
            ["join", "aggregate", "filter", "group_by", "order_by"]
        );
        assert_eq!(
            of("select 'where join', discount, \"group by\" from t"),
            ["single_table"]
        );
        assert_eq!(of("select count from t order"), ["single_table"]);
    }
}
