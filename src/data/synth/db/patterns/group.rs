//! Groups: counts and measures of each, and groups that reach a number.

use super::super::draft::{Desk, Draft, select};
use super::super::model::literal;
use super::super::select::{Item, Select};
use super::super::words::plural;
use super::grouping::grouping;
use super::measure;

/// A count or measure of each group.
pub fn each(desk: &mut Desk) -> Option<Draft> {
    let conditions = *desk.dice.weighted(&[(0, 6), (1, 4)])?;
    let mut subject = desk.subject(conditions)?;
    let dice = &mut desk.dice;
    let group = grouping(dice, &mut subject)?;
    let (noun, one, own) = (subject.noun(dice, true)?, &group.one, group.own);
    let mut items = group.shown(&subject);
    let ways = if dice.chance(50) {
        items.push(Item::Rows);
        let mut ways = vec![
            format!("How many {noun} does each {one} have?"),
            format!("For each {one}, how many {noun} are there?"),
            format!("Show the number of {noun} per {one}."),
            format!("What is the number of {noun} for each {one}?"),
            format!("How many {noun} do we have per {one}?"),
            format!("Show each {one} with {own} number of {noun}."),
        ];
        if group.holds {
            ways.push(format!("How many {noun} are there in each {one}?"));
            ways.push(format!("Count the {noun} in each {one}."));
        }
        ways
    } else {
        let measure = measure::of(dice, subject.table(), 0)?;
        items.push(measure.item);
        let called = &measure.called;
        let mut ways = vec![
            format!("What is the {called} of {noun} for each {one}?"),
            format!("What is the {called} for each {one}?"),
            format!("For each {one}, what is the {called} of {own} {noun}?"),
            format!("Show the {called} of {noun} per {one}."),
            format!("List each {one} with the {called} of {own} {noun}."),
            format!("Give the {called} of {noun} for every {one}."),
        ];
        if group.holds {
            ways.push(format!("What is the {called} of {noun} in each {one}?"));
            ways.push(format!("What is the {called} in each {one}?"));
        }
        // The other table may have such a column too.
        let elsewhere = |item: &Item| matches!(item, Item::Plain(col) if col.at > 0);
        if !subject.phrases.is_empty() || group.items.iter().any(elsewhere) {
            ways.retain(|way| way.contains(&noun));
        }
        ways
    };
    let mut select = select(&subject, items);
    select.group = group.items;
    let question = dice.pick(&ways)?.clone();
    Some(Draft::of(&select, question))
}

/// Groups that have more or fewer rows than a number, or a measure beyond one.
pub fn having(desk: &mut Desk) -> Option<Draft> {
    let conditions = *desk.dice.weighted(&[(0, 3), (1, 1)])?;
    let mut subject = desk.subject(conditions)?;
    let dice = &mut desk.dice;
    let group = grouping(dice, &mut subject)?;
    let groups = plural(&group.one);
    let noun = subject.noun(dice, true)?;
    let mut shown = group.shown(&subject);
    let (having, mut ways) = if dice.chance(70) {
        let most = (subject.table().rows / 3).clamp(2, 12);
        let n = 1 + dice.below(most);
        let (sign, than) = *dice.pick(&[
            (">", "more than"),
            (">", "more than"),
            (">=", "at least"),
            ("<", "fewer than"),
        ])?;
        // Those with none are fewer too, and not among the groups.
        let (than, n) = match sign == "<" && !group.whole {
            true => ("at least one but fewer than", n.max(3)),
            false => (than, n.max(2)),
        };
        let mut ways = vec![
            format!("Which {groups} have {than} {n} {noun}?"),
            format!("List the {groups} with {than} {n} {noun}."),
            format!("Find the {groups} that have {than} {n} {noun}."),
        ];
        if group.holds {
            ways.push(format!("Which {groups} have {than} {n} {noun} in them?"));
            ways.push(format!("In which {groups} are there {than} {n} {noun}?"));
        }
        ((Item::Rows, format!("{sign} {n}")), ways)
    } else {
        let measure = measure::of(dice, subject.table(), 0)?;
        let Item::Of(function, col) = measure.item else {
            return None;
        };
        let value = literal(dice.pick(&subject.table().columns[col.column].values)?)?;
        let value = match function {
            "sum" => (value.parse::<f64>().ok()? * 2.0).round().to_string(),
            _ => value,
        };
        let (sign, than) = *dice.pick(&[(">", "above"), (">", "higher than"), ("<", "below")])?;
        // Those with none add up to nothing.
        if function == "sum" && sign == "<" && !group.whole {
            return None;
        }
        let called = super::super::words::with_article(&measure.called);
        let mut ways = vec![
            format!("Which {groups} have {called} of {noun} {than} {value}?"),
            format!(
                "List the {groups} where the {} of {noun} is {than} {value}.",
                measure.called
            ),
        ];
        if group.holds {
            ways.push(format!(
                "In which {groups} is the {} of {noun} {than} {value}?",
                measure.called
            ));
        }
        ((measure.item, format!("{sign} {value}")), ways)
    };
    if dice.chance(25) {
        shown.push(having.0);
        let extra = match having.0 {
            Item::Rows => "how many".to_owned(),
            _ => "the value".to_owned(),
        };
        for way in &mut ways {
            let end = way.pop().unwrap_or('.');
            *way = format!("{way}, and {extra}{end}");
        }
    }
    let mut select: Select = select(&subject, shown);
    select.group = group.items;
    select.having = Some(having);
    let question = dice.pick(&ways)?.clone();
    Some(Draft::of(&select, question))
}
