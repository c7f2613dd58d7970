//! Whether a result that matches says that its query is right.

use super::rollouts::Drawn;
use crate::sql::constant::is_constant;

/// Why a right result is no sign of a right query, where it is none: one without rows matches whatever finds nothing, and a constant may be the
/// right number by chance. `gold` is the reference.
pub fn unearned(drawn: &Drawn, gold: &str) -> Option<&'static str> {
    let returned = drawn.judged.returned.as_ref();
    let rows = returned.map_or(0, |returned| returned.rows);
    if rows == 0 {
        return Some("without rows, as any query may be that finds nothing");
    }
    let query = drawn.query.as_deref().unwrap_or_default();
    let by_chance = is_constant(query) && !is_constant(gold);
    by_chance.then_some("a constant, where the reference reads a table")
}
