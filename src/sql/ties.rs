//! Whether ties decide what a LIMIT leaves.

use super::database::TIE_BREAK;
use super::tokens::tokens;

/// `sql` with one more ORDER BY term before every LIMIT behind an ORDER BY; `None` where there is no such LIMIT. Run with ties
/// decided both ways, such a query returns the same rows only if its order was full.
pub fn with_tie_break(sql: &str) -> Option<String> {
    let tokens = tokens(sql);
    // Whether ORDER BY was met, for each open bracket.
    let mut ordered = vec![false];
    let mut changed = String::new();
    let mut from = 0;
    for (i, token) in tokens.iter().enumerate() {
        if token.is("(") {
            ordered.push(false);
        } else if token.is(")") && ordered.len() > 1 {
            ordered.pop();
        }
        let Some(inner) = ordered.last_mut() else {
            break;
        };
        if token.is("order") && tokens.get(i + 1).is_some_and(|next| next.is("by")) {
            *inner = true;
        } else if token.is("limit") && *inner {
            changed += &sql[from..token.at];
            changed += &format!(", {TIE_BREAK}() ");
            from = token.at;
            *inner = false;
        }
    }
    (from > 0).then(|| changed + &sql[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_limit_behind_an_order_is_changed() {
        let changed = |sql| with_tie_break(sql).map(|sql| sql.replace("factory_tie_break()", "T"));
        assert_eq!(
            changed("select a from t order by b desc limit 1").unwrap(),
            "select a from t order by b desc , T limit 1"
        );
        assert_eq!(
            changed("select (select a from t order by b limit 1), (select 'order by limit') from t limit 2").unwrap(),
            "select (select a from t order by b , T limit 1), (select 'order by limit') from t limit 2"
        );
        for sql in [
            "select a from t limit 1",
            "select a from t order by b",
            "select rank() over (order by a) from t limit 1",
            ")) limit",
        ] {
            assert_eq!(changed(sql), None, "{sql}");
        }
    }
}
