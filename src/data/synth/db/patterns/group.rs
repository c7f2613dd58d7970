//! Groups: counts and measures of each, and groups that reach a number.

use super::super::conditions::word;
use super::super::dice::Dice;
use super::super::draft::{Desk, Draft, select};
use super::super::model::{Role, literal};
use super::super::select::{Col, Item, Select};
use super::super::subject::Subject;
use super::super::words::plural;
use super::measure;

/// What rows are grouped by.
pub struct Grouping {
    /// What a group is shown by and grouped by.
    pub items: Vec<Item>,
    /// "region", "department".
    pub one: String,
}

/// A grouping of a subject, which may be joined for it.
pub fn grouping(dice: &mut Dice, subject: &mut Subject) -> Option<Grouping> {
    let links = subject.links(0);
    if !links.is_empty() && dice.chance(60) {
        let at = subject.scope.join(0, *dice.pick(&links)?);
        let parent = subject.scope.table(at);
        let one = dice.pick(&parent.one)?.clone();
        let categories = parent.of_role(&[Role::Category]);
        let by_category = !categories.is_empty() && dice.chance(35);
        return match (&parent.label[..], by_category) {
            (_, true) | ([], _) => {
                let column = *dice.pick(&categories)?;
                let name = word(dice, &parent.columns[column]);
                Some(Grouping {
                    items: vec![Item::Plain(Col { at, column })],
                    one: dice.of([name.clone(), name.clone(), format!("{one} {name}")]),
                })
            }
            (label, _) => {
                let mut items: Vec<Item> = label
                    .iter()
                    .map(|column| {
                        Item::Plain(Col {
                            at,
                            column: *column,
                        })
                    })
                    .collect();
                // Two of one name are two groups.
                if !(label.len() == 1 && parent.columns[label[0]].unique) {
                    let key = parent
                        .columns
                        .iter()
                        .position(|column| column.primary > 0)?;
                    items.push(Item::Plain(Col { at, column: key }));
                }
                Some(Grouping { items, one })
            }
        };
    }
    let table = subject.table();
    let column =
        *dice.pick(&table.of_role(&[Role::Category, Role::Category, Role::Year, Role::Date]))?;
    let known = &table.columns[column];
    let col = Col { at: 0, column };
    let name = word(dice, known);
    let (item, one) = match known.role {
        Role::Date => (
            Item::Year(col),
            dice.of(["year".to_owned(), format!("year of {name}")]),
        ),
        _ => (Item::Plain(col), name),
    };
    (!subject.tests.iter().any(|test| test.col == col)).then(|| Grouping {
        items: vec![item],
        one,
    })
}

impl Grouping {
    /// The items that show a group: without the key that only tells it apart.
    pub fn shown(&self, subject: &Subject) -> Vec<Item> {
        let is_key = |item: &&Item| match item {
            Item::Plain(col) => subject.scope.table(col.at).columns[col.column].role != Role::Key,
            _ => true,
        };
        let shown: Vec<Item> = self.items.iter().filter(is_key).copied().collect();
        if shown.is_empty() {
            self.items.clone()
        } else {
            shown
        }
    }
}

/// A count or measure of each group.
pub fn each(desk: &mut Desk) -> Option<Draft> {
    let conditions = *desk.dice.weighted(&[(0, 6), (1, 4)])?;
    let mut subject = desk.subject(conditions)?;
    let dice = &mut desk.dice;
    let group = grouping(dice, &mut subject)?;
    let (noun, one) = (subject.noun(dice, true)?, &group.one);
    let mut items = group.shown(&subject);
    let ways = if dice.chance(50) {
        items.push(Item::Rows);
        vec![
            format!("How many {noun} are there in each {one}?"),
            format!("How many {noun} does each {one} have?"),
            format!("For each {one}, how many {noun} are there?"),
            format!("Count the {noun} in each {one}."),
            format!("Show the number of {noun} per {one}."),
            format!("What is the number of {noun} for each {one}?"),
            format!("How many {noun} do we have per {one}?"),
            format!("Show each {one} with its number of {noun}."),
        ]
    } else {
        let measure = measure::of(dice, subject.table(), 0)?;
        items.push(measure.item);
        let called = &measure.called;
        let mut ways = vec![
            format!("What is the {called} of {noun} in each {one}?"),
            format!("What is the {called} for each {one}?"),
            format!("For each {one}, what is the {called} of its {noun}?"),
            format!("Show the {called} of {noun} per {one}."),
            format!("What is the {called} in each {one}?"),
            format!("List each {one} with the {called} of its {noun}."),
            format!("Give the {called} of {noun} for every {one}."),
        ];
        if !subject.phrases.is_empty() {
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
        let n = n.max(2);
        (
            (Item::Rows, format!("{sign} {n}")),
            vec![
                format!("Which {groups} have {than} {n} {noun}?"),
                format!("List the {groups} with {than} {n} {noun}."),
                format!("Which {groups} have {than} {n} {noun} in them?"),
                format!("Find the {groups} that have {than} {n} {noun}."),
                format!("In which {groups} are there {than} {n} {noun}?"),
            ],
        )
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
        let called = super::super::words::with_article(&measure.called);
        (
            (measure.item, format!("{sign} {value}")),
            vec![
                format!("Which {groups} have {called} of {noun} {than} {value}?"),
                format!(
                    "List the {groups} where the {} of {noun} is {than} {value}.",
                    measure.called
                ),
                format!(
                    "In which {groups} is the {} of {noun} {than} {value}?",
                    measure.called
                ),
            ],
        )
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
