//! Numbers as Python writes them.

/// The shortest digits that are this number, in the form of Python's `repr`: an exponent below 1e-4 and from 1e16 on.
pub fn real(real: f64) -> String {
    let shortest = format!("{real:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    match real == 0.0 || (-4..16).contains(&exponent) {
        true => format!("{real:?}"),
        false => format!(
            "{digits}e{}{:02}",
            if exponent < 0 { '-' } else { '+' },
            exponent.abs()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reals_are_python_s() {
        for (number, text) in [
            (0.5, "0.5"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (2.5e-5, "2.5e-05"),
            (1e-4, "0.0001"),
            (1.7e308, "1.7e+308"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(real(number), text);
        }
    }
}
