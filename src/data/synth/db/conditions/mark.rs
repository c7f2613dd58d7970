//! What is there or not: no and yes, NULL and a value.

use super::super::dice::Dice;
use super::super::lexicon::YES_NO;
use super::super::model::{Column, literal, said};
use super::super::words::with_article;
use super::{Condition, condition, word};

pub fn flag(dice: &mut Dice, column: &Column) -> Option<Condition> {
    let name = word(dice, column);
    let bare = name
        .trim_start_matches("is ")
        .trim_start_matches("has ")
        .to_owned();
    let yes = dice.chance(60);
    // What is unknown is neither.
    if !yes && column.nulls {
        return None;
    }
    let means = |text: String| YES_NO.iter().any(|pair| pair[usize::from(yes)] == text);
    let mut values = column.values.iter();
    let value = values.find(|value| said(value).is_some_and(|text| means(text.to_lowercase())))?;
    let [behind, verb] = match (yes, name.starts_with("has ")) {
        (true, true) => [format!("with {bare}"), format!("have {bare}")],
        (false, true) => [format!("without {bare}"), format!("have no {bare}")],
        (true, false) => [format!("that are {bare}"), format!("are {bare}")],
        (false, false) => [format!("that are not {bare}"), format!("are not {bare}")],
    };
    let mut made = condition(format!(" = {}", literal(value)?), vec![behind], vec![verb]);
    if yes && !name.starts_with("has ") {
        made.phrase.adjective = Some(bare);
    }
    Some(made)
}

pub fn null(dice: &mut Dice, column: &Column) -> Condition {
    let name = word(dice, column);
    if dice.chance(30) {
        let behind = vec![
            format!("that have {}", with_article(&name)),
            format!("whose {name} is known"),
        ];
        let verb = vec![
            format!("have {}", with_article(&name)),
            format!("have a known {name}"),
        ];
        return condition(" is not null".to_owned(), behind, verb);
    }
    let behind = vec![
        format!("without {}", with_article(&name)),
        format!("with no {name}"),
        format!("whose {name} is missing"),
        format!("whose {name} is unknown"),
    ];
    let verb = vec![
        format!("have no {name}"),
        format!("do not have {}", with_article(&name)),
        format!("lack {}", with_article(&name)),
    ];
    condition(" is null".to_owned(), behind, verb)
}
