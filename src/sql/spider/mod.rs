//! Spider's exact set match: do two queries have the same components, whatever their literals?
//!
//! Verdicts are those of `evaluation.py` of `taoyds/test-suite-sql-eval` at its default settings, which ignore values and
//! DISTINCT. `parser` reads the grammar, `components` compares.
//!
//! Limits of the original's grammar are kept, because scores depend on them. Not in it: `<>`, `==`, `||`, `UNION ALL`, comma
//! and outer joins, aliases without `AS`, aliases of columns and of subqueries, joined subqueries, lists in `IN`, `NULL`,
//! `EXISTS`, numbers and functions as columns, brackets around conditions, names in quotes, HAVING without GROUP BY.
//!
//! Odd rules kept, because they are what the data structures of the original can say:
//! - AND and OR are two sets: which are used counts, not where. Of ON only the words OR, NOT, IN and LIKE count,
//!   and nothing that OR adds to a comparison with a column: golds have `ON a = b OR a = c`, which the original reads as `a = b`.
//! - An ORDER BY has one direction, the last written. LIMIT counts as present or not.
//! - The columns of GROUP BY and all of HAVING count in order, those of SELECT and WHERE without.
//! - A subquery in a condition counts in all but its literals: order, DISTINCT, ON, no foreign keys. One in FROM with them.
//! - Columns joined by foreign keys are one if their tables are in the first FROM, also in the operands of UNION and so on.
//! - `(count(*))` is not `count(*)`; what follows a column on the right of a comparison (`a > b * 2`) is ignored.
//! - An unqualified column is the first such column of FROM; `emp.name` is known beside `emp AS T1`.
//! - After `;` only a set operator is read on, and a quote left open there still spoils the text.
//!
//! Slips of the original that are not repeated, because they pass wrong predictions or fail right ones:
//! - Unread text: `LIMIT 5 OFFSET 2`, `FROM t) x` or the OR of `WHERE a = b OR c` passed as if it ended before.
//! - Broken text: missing or extra commas, `max a`, AND at the end, an empty SELECT, FROM after WHERE, `a NOT = 1`, DISTINCT
//!   before a column or `*` in the middle of a list or an expression, `= SELECT` and `FROM SELECT` without brackets.
//! - White space and comments decided: `id=1` or `/* */` failed. Here equal tokens have equal verdicts, and `! =` is `!=`.
//! - A literal with the other quote or a doubled quote in it failed, or crashed on a gold query.
//! - The letters `value` of a prediction became `1`, in names too. Here the word alone stands for a literal, where one is due.
//! - Aliases were of the whole text: with T1 twice, the last meant both. Here an alias belongs to its query and those inside,
//!   may be named like a table, and a column's table must be in a FROM around it.
//! - A column named like an aggregate failed, as did one of a later table without its name in ON, and one in brackets after
//!   an OR there.
//! - Foreign keys were grouped in one pass that could split a chain (a-b, c-d, b-c). Here the sets are transitive.

mod clauses;
mod components;
mod conditions;
mod expressions;
mod from;
mod names;
mod parser;
#[cfg(test)]
mod tests;
mod tree;

use serde::{Deserialize, Serialize};
use std::fmt;

/// Tables and foreign keys of a database, named as there; names are compared without case.
///
/// The order of tables and columns matters little: of columns that foreign keys join, the first stands for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    pub tables: Vec<Table>,
    /// Pairs of (table, column). A pair that names an unknown column is ignored.
    pub foreign_keys: Vec<((String, String), (String, String))>,
}

/// A table and its columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub name: String,
    pub columns: Vec<String>,
}

/// Why the gold query cannot be scored: the original crashes on it. One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldError(String);

impl fmt::Display for GoldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the gold query is outside Spider's grammar: {}", self.0)
    }
}

impl std::error::Error for GoldError {}

/// True if both queries have the same components. A prediction outside the grammar, or with an unknown name, has none.
pub fn exact_set_match(predicted: &str, gold: &str, schema: &Schema) -> Result<bool, GoldError> {
    let names = names::Names::new(schema);
    let gold = parser::parse(gold, &names).map_err(GoldError)?;
    let same = parser::parse(predicted, &names)
        .is_ok_and(|predicted| components::exact(predicted, gold, &names));
    Ok(same)
}
