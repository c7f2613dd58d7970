//! Years and dates: in, before, after.

use super::super::dice::Dice;
use super::super::model::{Column, said};
use super::super::words::with_article;
use super::{Condition, condition, word};

pub fn year(dice: &mut Dice, column: &Column) -> Option<Condition> {
    let name = word(dice, column);
    let none = Vec::new();
    let value = said(dice.pick(&column.values)?)?;
    let (sign, when, own): (_, &[&str], _) = match dice.below(5) {
        0 | 1 => (">", &["after"], &column.compare.more),
        2 => ("<", &["before"], &column.compare.less),
        3 => (">=", &["in or after", "since"], &none),
        _ => ("=", &["in"], &none),
    };
    let when = dice.say(when);
    let mut behind = vec![
        format!("whose {name} is {when} {value}"),
        format!("with {} {when} {value}", with_article(&name)),
    ];
    let mut verb = vec![format!("have {} {when} {value}", with_article(&name))];
    if sign == "=" {
        behind = vec![
            format!("whose {name} is {value}"),
            format!("with the {name} {value}"),
        ];
        verb = vec![format!("have the {name} {value}")];
    }
    if name == "year" {
        let from = format!("from {when} {value}").replace("from in", "from");
        verb.push(format!("are {from}"));
        behind.push(from);
    }
    for own in own {
        verb.push(format!("{own} {value}"));
        let said = own.trim_start_matches("were ").trim_start_matches("are ");
        behind.push(format!("{said} {value}"));
    }
    Some(condition(format!(" {sign} {value}"), behind, verb))
}

pub fn date(dice: &mut Dice, column: &Column) -> Option<Condition> {
    let name = word(dice, column);
    let value = said(dice.pick(&column.values)?)?;
    let day = value.get(..10)?.to_owned();
    let (year, month) = (day.get(..4)?.to_owned(), day.get(5..7)?.to_owned());
    let verb = column
        .compare
        .more
        .first()
        .and_then(|more| more.strip_suffix(" after"));
    let verb = verb.map_or_else(|| format!("have {}", with_article(&name)), str::to_owned);
    let said = |when: String| {
        let short = verb.trim_start_matches("were ").trim_start_matches("are ");
        let behind = match verb.starts_with("have ") {
            true => vec![
                format!("with {} {when}", with_article(&name)),
                format!("whose {name} is {when}"),
            ],
            false => vec![
                format!("{short} {when}").trim().to_owned(),
                format!("whose {name} is {when}"),
            ],
        };
        (behind, vec![format!("{verb} {when}")])
    };
    let mut made = match dice.below(5) {
        0 => {
            let (behind, verb) = said(format!("on or after {day}"));
            condition(format!(" >= '{day}'"), behind, verb)
        }
        1 => {
            let (behind, verb) = said(format!("before {day}"));
            condition(format!(" < '{day}'"), behind, verb)
        }
        2 => {
            let number: usize = month.parse().ok()?;
            let (behind, verb) = said(format!("in {} {year}", MONTHS.get(number.checked_sub(1)?)?));
            let mut made = condition(format!(") = '{year}-{month}'"), behind, verb);
            made.before = "strftime('%Y-%m', ".to_owned();
            made
        }
        _ => {
            let (behind, verb) = said(format!("in {year}"));
            let mut made = condition(format!(") = '{year}'"), behind, verb);
            made.before = "strftime('%Y', ".to_owned();
            made
        }
    };
    made.phrase.adjective = None;
    Some(made)
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
