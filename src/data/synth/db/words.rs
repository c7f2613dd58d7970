//! Names of tables and columns in words: `CustomerID` -> "customer id", `unit_prices` -> "unit price" and "unit prices".

use super::lexicon::{ABBREVIATIONS, IRREGULAR, UNCOUNTED};

/// The words of a name, in lower case, with usual abbreviations spelled out.
pub fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut last = ' ';
    let characters: Vec<char> = name.chars().collect();
    for (at, &c) in characters.iter().enumerate() {
        let next_is_small = characters
            .get(at + 1)
            .is_some_and(|next| next.is_lowercase());
        let begins = c.is_uppercase()
            && (last.is_lowercase() || last.is_uppercase() && next_is_small)
            || c.is_numeric() != last.is_numeric() && last.is_alphanumeric();
        // "CO2", "x1" and "DNase" are one word.
        let length = words.last().map_or(0, |word| word.chars().count());
        let joined = match length {
            1 => c.is_numeric() || !last.is_lowercase(),
            2 => c.is_numeric(),
            _ => false,
        };
        let begins = begins && !joined;
        if !c.is_alphanumeric() || begins {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        last = c;
    }
    words.retain(|word| !word.is_empty());
    for word in &mut words {
        let known = ABBREVIATIONS.iter().find(|(short, _)| short == word);
        if let Some((_, long)) = known {
            *word = (*long).to_owned();
        }
    }
    words
}

/// One of a thing, by the name of many: the last word's singular.
pub fn singular(phrase: &str) -> String {
    change_last(phrase, |word| {
        if let Some((one, _)) = IRREGULAR.iter().find(|(_, many)| *many == word) {
            return (*one).to_owned();
        }
        if !is_countable(word) || word.len() < 4 {
            return word.to_owned();
        }
        let ends = |end: &str| word.ends_with(end);
        if ends("ies") {
            format!("{}y", &word[..word.len() - 3])
        } else if ["sses", "shes", "ches", "xes", "zes"]
            .iter()
            .any(|end| ends(end))
        {
            word[..word.len() - 2].to_owned()
        } else if ends("s") && !["ss", "us", "is"].iter().any(|end| ends(end)) {
            word[..word.len() - 1].to_owned()
        } else {
            word.to_owned()
        }
    })
}

/// Many of a thing, by the name of one or of many.
pub fn plural(phrase: &str) -> String {
    change_last(&singular(phrase), |word| {
        if let Some((_, many)) = IRREGULAR.iter().find(|(one, _)| *one == word) {
            return (*many).to_owned();
        }
        if !is_countable(word) {
            return word.to_owned();
        }
        let before_y = word.chars().rev().nth(1);
        if word.ends_with('y') && !before_y.is_some_and(|c| "aeiou".contains(c)) {
            return format!("{}ies", &word[..word.len() - 1]);
        }
        let hisses = ["s", "sh", "ch", "x", "z"]
            .iter()
            .any(|end| word.ends_with(end));
        format!("{word}{}", if hisses { "es" } else { "s" })
    })
}

/// Whether a phrase is of many: "pages".
pub fn is_plural(phrase: &str) -> bool {
    singular(phrase) != phrase
}

fn is_countable(word: &str) -> bool {
    let is_latin = word.chars().all(|c| c.is_ascii_alphabetic());
    is_latin && !UNCOUNTED.contains(&word)
}

/// Changes the noun of a phrase: its last word, or the one before "of" and the like ("units in stock").
fn change_last(phrase: &str, change: impl Fn(&str) -> String) -> String {
    let behind = [" of ", " in ", " on ", " per ", " for ", " to "];
    let end = behind.iter().filter_map(|word| phrase.find(word)).min();
    let (phrase, rest) = phrase.split_at(end.unwrap_or(phrase.len()));
    let changed = match phrase.rsplit_once(' ') {
        Some((before, last)) => format!("{before} {}", change(last)),
        None => change(phrase),
    };
    changed + rest
}

/// "a town", "an age", "notes".
pub fn with_article(phrase: &str) -> String {
    if is_plural(phrase) {
        return phrase.to_owned();
    }
    let vowel = phrase.starts_with(['a', 'e', 'i', 'o', 'u'])
        && !["uni", "use", "one", "euro"]
            .iter()
            .any(|start| phrase.starts_with(start));
    format!("{} {phrase}", if vowel { "an" } else { "a" })
}

/// A sentence of this text: its first letter large.
pub fn sentence(text: &str, end: &str) -> String {
    let mut rest = text.chars();
    let first: String = rest
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    format!("{first}{}{end}", rest.as_str())
}

/// The form of a verb phrase for one: "have a dog" -> "has a dog".
pub fn of_one(verb: &str) -> String {
    let (first, rest) = verb.split_once(' ').unwrap_or((verb, ""));
    let first = match first {
        "are" => "is".to_owned(),
        "have" => "has".to_owned(),
        "were" => "was".to_owned(),
        "do" => "does".to_owned(),
        "can" | "did" => first.to_owned(),
        past if past.ends_with("ed") => past.to_owned(),
        word => plural_verb(word),
    };
    format!("{first} {rest}").trim_end().to_owned()
}

fn plural_verb(word: &str) -> String {
    match word.ends_with(['s', 'x', 'z', 'h', 'o']) {
        true => format!("{word}es"),
        false => format!("{word}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_words() {
        for (name, expected) in [
            ("CustomerID", "customer id"),
            ("unit_price", "unit price"),
            ("HTTPServerName", "http server name"),
            ("dept_id", "department id"),
            ("Order Details", "order details"),
            ("qty", "quantity"),
            ("address2", "address 2"),
            ("größe", "größe"),
            ("CO2", "co2"),
            ("DNase", "dnase"),
            ("x1", "x1"),
            ("Co_Cork", "co cork"),
            ("__", ""),
        ] {
            assert_eq!(words(name).join(" "), expected);
        }
    }

    #[test]
    fn numbers_of_nouns() {
        for (one, many) in [
            ("city", "cities"),
            ("order detail", "order details"),
            ("box", "boxes"),
            ("person", "people"),
            ("day", "days"),
            ("class", "classes"),
            ("status", "statuses"),
            ("staff", "staff"),
            ("unit in stock", "units in stock"),
            ("date of birth", "dates of birth"),
        ] {
            assert_eq!(plural(one), many);
            assert_eq!(plural(many), many);
            assert_eq!(singular(many), one);
            assert_eq!(singular(one), one);
        }
        assert_eq!(with_article("age"), "an age");
        assert_eq!(with_article("unit"), "a unit");
        assert_eq!(with_article("units in stock"), "units in stock");
        assert_eq!(of_one("have a dog"), "has a dog");
        assert_eq!(of_one("cost more"), "costs more");
        assert_eq!(of_one("scored more"), "scored more");
    }
}
