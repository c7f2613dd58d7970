//! Words of names and of what is looked for.

/// The words of a text in small letters: `orderItems` and `order_items` are both order, items.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut small = false;
    for c in text.chars() {
        let begins = c.is_uppercase() && small;
        if begins || !c.is_alphanumeric() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        small = c.is_lowercase() || c.is_numeric();
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Whether two words are the same but for the end of a plural.
pub fn alike(one: &str, other: &str) -> bool {
    let stem = |word: &str| {
        let word = word.strip_suffix("es").or(word.strip_suffix('s'));
        word.filter(|stem| stem.chars().count() > 2)
            .map(str::to_owned)
    };
    one == other
        || stem(one).is_some_and(|one| one == other)
        || stem(other).is_some_and(|other| one == other)
        || matches!((stem(one), stem(other)), (Some(one), Some(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_into_words() {
        for (text, expected) in [
            ("orderItems", &["order", "items"][..]),
            ("order_items", &["order", "items"]),
            ("Which BUYERS came?", &["which", "buyers", "came"]),
            ("HTTPCode2", &["httpcode2"]),
            ("", &[]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
        assert!(alike("buyers", "buyer") && alike("boxes", "box"));
        assert!(!alike("as", "a") && !alike("buyer", "sale"));
    }
}
