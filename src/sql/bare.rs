//! Bare columns: results of a grouped query that are neither grouped by nor aggregated. SQLite takes them from any row of the
//! group (https://www.sqlite.org/quirks.html, section 6), which matters where the rows of a group differ.

use super::tokens::{Kind, Token, tokens};

const AGGREGATES: [&str; 13] = [
    "count",
    "sum",
    "total",
    "avg",
    "min",
    "max",
    "group_concat",
    "string_agg",
    "json_group_array",
    "json_group_object",
    "median",
    "percentile",
    "over",
];

/// `sql` with every result of a grouped select that holds no aggregate within `function`, `min` or `max`; `None` where there
/// is none. Run with both, such a query returns the same rows only if no row of a group differs from another.
pub fn within(sql: &str, function: &str) -> Option<String> {
    let tokens = tokens(sql);
    let mut changed = String::new();
    let mut from = 0;
    for (at, token) in tokens.iter().enumerate() {
        if !token.is("select") {
            continue;
        }
        let outermost = depth_at(&tokens[..at]) == 0;
        for column in bare(&tokens, at) {
            let (start, end) = (column.first()?.at, column.last()?.end());
            // One inside another was changed already.
            if start < from {
                continue;
            }
            let inner = &sql[start..end];
            changed += &sql[from..start];
            // As text, so that NULL counts as a value; inside the query others compare it.
            changed += &match outermost {
                true => format!("{function}(quote({inner}))"),
                false => format!("{function}({inner})"),
            };
            from = end;
        }
    }
    (from > 0).then(|| changed + &sql[from..])
}

fn depth_at(tokens: &[Token]) -> usize {
    tokens.iter().fold(0usize, |depth, token| match token.text {
        "(" => depth + 1,
        ")" => depth.saturating_sub(1),
        _ => depth,
    })
}

/// The result expressions to look at of the select at `at`, without their aliases.
fn bare<'t, 's>(tokens: &'t [Token<'s>], at: usize) -> Vec<&'t [Token<'s>]> {
    let core = core(&tokens[at + 1..]);
    let at_depth = clauses(core);
    let place = |word: &str| at_depth.iter().copied().find(|&at| core[at].is(word));
    let (Some(from), Some(group)) = (place("from"), place("group")) else {
        return Vec::new();
    };
    // With one min() or max(), bare columns are those of its row.
    let extremes = core.iter().enumerate().filter(|(at, token)| {
        let called = core.get(at + 1).is_some_and(|next| next.is("("));
        called && (token.is("min") || token.is("max"))
    });
    if extremes.count() == 1 {
        return Vec::new();
    }
    let ends = ["having", "order", "limit", "window"];
    let end = at_depth
        .iter()
        .copied()
        .find(|&at| at > group && ends.iter().any(|end| core[at].is(end)));
    let grouped = &core[group..end.unwrap_or(core.len())];
    let commas = at_depth
        .iter()
        .copied()
        .filter(|&at| at < from && core[at].is(","));
    let mut start = usize::from(
        core.first()
            .is_some_and(|first| first.is("distinct") || first.is("all")),
    );
    let mut found = Vec::new();
    for (place, end) in commas.chain([from]).enumerate() {
        let column = &core[start.min(end)..end];
        start = end + 1;
        let (column, alias) = without_alias(column);
        let is_star = column.last().is_some_and(|last| last.is("*"));
        let aggregates = column
            .iter()
            .any(|token| token.is("select") || AGGREGATES.iter().any(|name| token.is(name)));
        let ordinal = (place + 1).to_string();
        let by_name = grouped.iter().any(|token| {
            alias.is_some_and(|alias| alias.text.eq_ignore_ascii_case(token.text))
                || token.text == ordinal
        });
        if !column.is_empty() && !is_star && !aggregates && !by_name {
            found.push(column);
        }
    }
    found
}

/// The tokens up to the end of a select: a closing bracket, a set operator, `;`.
fn core<'t, 's>(tokens: &'t [Token<'s>]) -> &'t [Token<'s>] {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "(" => depth += 1,
            ")" if depth == 0 => return &tokens[..at],
            ")" => depth -= 1,
            _ if depth > 0 => {}
            _ if ["union", "intersect", "except", ";"]
                .iter()
                .any(|end| token.is(end)) =>
            {
                return &tokens[..at];
            }
            _ => {}
        }
    }
    tokens
}

/// The places outside brackets.
fn clauses(core: &[Token]) -> Vec<usize> {
    let mut depth = 0usize;
    let mut places = Vec::new();
    for (at, token) in core.iter().enumerate() {
        match token.text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ if depth == 0 => places.push(at),
            _ => {}
        }
    }
    places
}

/// A result expression without its alias.
fn without_alias<'t, 's>(column: &'t [Token<'s>]) -> (&'t [Token<'s>], Option<&'t Token<'s>>) {
    let is_name =
        |token: &Token| matches!(token.kind, Kind::Word | Kind::Quoted) && !token.is("end");
    match column {
        [expression @ .., word, alias] if word.is("as") => (expression, Some(alias)),
        [expression @ .., before, alias]
            if is_name(alias)
                && (is_name(before)
                    || before.is(")")
                    || before.is("end")
                    || before.is_literal()) =>
        {
            (&column[..expression.len() + 1], Some(alias))
        }
        _ => (column, None),
    }
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn results_without_an_aggregate_are_wrapped() {
        for (sql, expected) in [
            (
                "select a, b as x, count(*) from t group by a",
                "select max(quote(a)), max(quote(b)) as x, count(*) from t group by a",
            ),
            (
                "select distinct t.b y from t group by t.a order by count(*) limit 1",
                "select distinct max(quote(t.b)) y from t group by t.a order by count(*) limit 1",
            ),
            (
                "select c from u where c in (select b from t group by a having count(*) > 1)",
                "select c from u where c in (select max(b) from t group by a having count(*) > 1)",
            ),
            (
                "select substr(b, 1) || 'from', count(*) from t group by a",
                "select max(quote(substr(b, 1) || 'from')), count(*) from t group by a",
            ),
        ] {
            assert_eq!(within(sql, "max").unwrap(), expected);
        }
        for sql in [
            "select a from t",
            "select a, max(b), c from t group by a",
            "select strftime('%Y', d) as y, count(*) from t group by y",
            "select a, count(*) from t group by 1",
            "select * from t group by a",
            "select count(*) from t group by a",
            "select (",
        ] {
            assert_eq!(within(sql, "max"), None, "{sql}");
        }
    }
}
