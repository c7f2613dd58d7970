//! "Did you mean": the known name that a misspelt one is most like.

/// Least similarity (Jaro) that is worth asking about.
const SIMILAR: f64 = 0.7;

/// The name among `known` that `name` is most like, if one is like it.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Jaro finds no likeness in short names whose letters changed places.
    let alike = |own: &str| match strsim::osa_distance(own, name) {
        1 if name.len() > 2 => 1.0,
        _ => strsim::jaro(own, name),
    };
    let scored = known.into_iter().map(|own| (alike(own), own));
    let near = scored.filter(|(score, _)| *score >= SIMILAR);
    let best = near.max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, own)| own)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_most_alike_name_is_meant_if_any() {
        let known = ["margin", "min", "max_drop"];
        assert_eq!(nearest("minn", known), Some("min"));
        assert_eq!(nearest("maxdrop", known), Some("max_drop"));
        assert_eq!(nearest("mni", known), Some("min"));
        assert_eq!(nearest("where", known), None);
        assert_eq!(nearest("min", []), None);
    }
}
