//! Whether ties decide what a LIMIT leaves.

use super::tokens::tokens;

/// The name of a function that decides ties, which who runs the query adds: it counts the rows it sees, up or down.
pub const TIE_BREAK: &str = "factory_tie_break";

/// Window functions that number or pick rows: equals of their order are told apart.
const ROWWISE: [&str; 7] = [
    "row_number",
    "ntile",
    "lag",
    "lead",
    "first_value",
    "last_value",
    "nth_value",
];

/// `sql` with one more ORDER BY term before every LIMIT behind an ORDER BY, and in the window of every function that numbers
/// or picks rows; `None` where there is neither. Run with ties decided both ways, such a query returns the same rows only if
/// its order was full.
pub fn with_tie_break(sql: &str) -> Option<String> {
    let tokens = tokens(sql);
    // For each open bracket, whether ORDER BY was met and whether it is the window of such a function.
    let mut open = vec![(false, false)];
    let mut changed = String::new();
    let mut from = 0;
    let mut add = |at: usize| {
        changed += &sql[from..at];
        changed += &format!(", {TIE_BREAK}() ");
        from = at;
    };
    // The function whose window may come.
    let mut rowwise = false;
    let frames = ["rows", "range", "groups"];
    for (i, token) in tokens.iter().enumerate() {
        let called = tokens.get(i + 1).is_some_and(|next| next.is("("));
        if token.is("(") {
            let window = i > 0 && tokens[i - 1].is("over");
            open.push((false, window && std::mem::take(&mut rowwise)));
        } else if token.is(")") && open.len() > 1 {
            if open.pop() == Some((true, true)) {
                add(token.at);
            }
        } else if called && ROWWISE.iter().any(|name| token.is(name)) {
            rowwise = true;
        }
        let Some((ordered, window)) = open.last_mut() else {
            break;
        };
        if token.is("order") && tokens.get(i + 1).is_some_and(|next| next.is("by")) {
            *ordered = true;
        } else if token.is("limit") && *ordered
            || *window && *ordered && frames.iter().any(|word| token.is(word))
        {
            add(token.at);
            *ordered = false;
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
        assert_eq!(
            changed("select row_number() over (partition by b order by a), lag(a, 1) over (order by a rows 1 preceding) from t").unwrap(),
            "select row_number() over (partition by b order by a, T ), lag(a, 1) over (order by a , T rows 1 preceding) from t"
        );
        for sql in [
            "select row_number() over (), sum(a) over (order by a) from t",
            "select a from t limit 1",
            "select a from t order by b",
            "select rank() over (order by a) from t limit 1",
            ")) limit",
        ] {
            assert_eq!(changed(sql), None, "{sql}");
        }
    }
}
