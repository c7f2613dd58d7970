//! `{NAME}` in the texts of a recipe: variables and stages.

use super::document::{Faults, Kind, Value, nearest};
use super::file::Recipe;
use std::collections::{BTreeMap, BTreeSet};

/// A piece of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Text(String),
    /// What stood in braces.
    Name(String),
}

/// The pieces of a text; `{{` and `}}` are braces.
pub fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        if from.starts_with("{{") || from.starts_with("}}") {
            plain.push_str(&from[..1]);
            rest = &from[2..];
            continue;
        }
        let name = from
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'));
        let Some((name, after)) = name else {
            return Err(format!(
                "{text:?} has a brace without its other one; {{{{ and }}}} are braces themselves"
            ));
        };
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(Piece::Name(name.trim().to_owned()));
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

/// A text with its variables filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text {
    pub parts: Vec<Part>,
    /// It begins with what `--set` said: as a path it is relative to the current folder.
    pub given: bool,
    /// Something in it has no value, which is said elsewhere.
    pub unknown: bool,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Text(String),
    /// A file that a stage writes: its flag, none for the main one.
    Stage {
        name: String,
        output: Option<String>,
    },
}

/// Longest text of a recipe, in bytes.
const LONGEST: usize = 1 << 16;

impl Part {
    fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Stage { .. } => 0,
        }
    }
}

impl Text {
    /// A text that is known as it is.
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            parts: vec![Part::Text(text.into())],
            ..Self::default()
        }
    }

    /// The text where no stage is in it.
    pub fn as_plain(&self) -> Option<String> {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Stage { .. } => None,
        });
        parts.collect()
    }

    /// The stage whose main output it is, and nothing else.
    pub fn as_stage(&self) -> Option<&str> {
        match &self.parts[..] {
            [Part::Stage { name, output: None }] => Some(name),
            _ => None,
        }
    }
}

/// A value with its variables filled in.
#[derive(Clone, Debug, PartialEq)]
pub enum Filled {
    Text(Text),
    Switch(bool),
    List(Vec<Filled>),
    Table(Vec<(String, Filled)>),
}

/// What a name in braces stands for, in one combination of the matrix.
#[derive(Clone, Debug)]
pub struct Scope {
    variables: BTreeMap<String, Known>,
    stages: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Known {
    value: Value,
    given: bool,
    unknown: bool,
    /// The variables of the matrix that it depends on.
    axes: BTreeSet<String>,
}

impl Scope {
    /// Of a recipe with the variables of `--set` and the values of a combination. Variables without a value are faults.
    pub fn new(
        recipe: &Recipe,
        set: &BTreeMap<String, Value>,
        cell: &BTreeMap<String, Value>,
        faults: &mut Faults,
    ) -> Self {
        let mut scope = Self {
            variables: BTreeMap::new(),
            stages: recipe.stages.iter().map(|s| s.name.clone()).collect(),
        };
        for (name, value) in cell {
            let known = Known {
                value: value.clone(),
                given: set.contains_key(name),
                unknown: false,
                axes: BTreeSet::from([name.clone()]),
            };
            scope.variables.insert(name.clone(), known);
        }
        for variable in &recipe.variables {
            scope.look_up(recipe, set, &variable.name, &mut Vec::new(), faults);
        }
        scope
    }

    /// Fills in the variable `name`, and those in it. `path` is what is being filled in.
    fn look_up(
        &mut self,
        recipe: &Recipe,
        set: &BTreeMap<String, Value>,
        name: &str,
        path: &mut Vec<String>,
        faults: &mut Faults,
    ) {
        let variable = recipe.variables.iter().find(|v| v.name == name);
        let (Some(variable), false) = (variable, self.variables.contains_key(name)) else {
            return;
        };
        let mut known = Known {
            value: Value {
                line: variable.line,
                kind: Kind::Text(String::new()),
            },
            given: false,
            unknown: true,
            axes: BTreeSet::new(),
        };
        path.push(name.to_owned());
        if let Some(from) = path[..path.len() - 1].iter().position(|n| n == name) {
            let circle = path[from..].join(" -> ");
            faults.add(variable.line, format!("variables in a circle: {circle}"));
        } else if let Some(value) = set.get(name) {
            known.value = value.clone();
            (known.given, known.unknown) = (true, false);
        } else if let Some(default) = &variable.default {
            default.texts(&mut |text| {
                for piece in pieces(text).unwrap_or_default() {
                    if let Piece::Name(inner) = piece {
                        self.look_up(recipe, set, &inner, path, faults);
                    }
                }
            });
            let mut reader = Reader::new(self, "a variable");
            match reader.fill(default, false) {
                Ok(filled) => {
                    known.axes = reader.axes;
                    let line = default.line;
                    (known.value, known.given, known.unknown) = as_value(filled, line);
                }
                Err(fault) => faults.add(default.line, fault),
            }
        } else {
            let help = variable.help.as_deref();
            let help = help.map_or(String::new(), |help| format!(" ({help})"));
            let fault = format!("variable {name} is not set: give --set {name}=…{help}");
            faults.add(variable.line, fault);
        }
        path.pop();
        self.variables.insert(name.to_owned(), known);
    }

    /// All names that braces may hold.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let variables = self.variables.keys().map(String::as_str);
        variables.chain(self.stages.iter().map(String::as_str))
    }

    /// The variables' values.
    pub fn values(&self) -> BTreeMap<&str, &Value> {
        let known = self.variables.iter();
        known
            .map(|(name, known)| (name.as_str(), &known.value))
            .collect()
    }
}

/// A filled value as one again, whether `--set` said its beginning, and whether something in it is unknown.
fn as_value(filled: Filled, line: usize) -> (Value, bool, bool) {
    let (mut given, mut unknown) = (false, false);
    let kind = match filled {
        Filled::Text(text) => {
            (given, unknown) = (text.given, text.unknown);
            Kind::Text(text.as_plain().unwrap_or_default())
        }
        Filled::Switch(on) => Kind::Switch(on),
        Filled::List(items) => {
            let items = items.into_iter().map(|item| as_value(item, line));
            let items: Vec<_> = items.collect();
            given = items.iter().any(|(_, given, _)| *given);
            unknown = items.iter().any(|(_, _, unknown)| *unknown);
            Kind::List(items.into_iter().map(|(value, ..)| value).collect())
        }
        Filled::Table(_) => {
            unknown = true;
            Kind::Text(String::new())
        }
    };
    (Value { line, kind }, given, unknown)
}

/// Fills in texts, and remembers which variables of the matrix they needed.
pub struct Reader<'a> {
    scope: &'a Scope,
    what: &'a str,
    pub axes: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    /// For the texts of `what`.
    pub fn new(scope: &'a Scope, what: &'a str) -> Self {
        Self {
            scope,
            what,
            axes: BTreeSet::new(),
        }
    }

    /// Fills in a value; whether it may name stages.
    pub fn fill(&mut self, value: &Value, stages: bool) -> Result<Filled, String> {
        Ok(match &value.kind {
            Kind::Text(text) => self.text(text, stages)?,
            Kind::Number(text) => Filled::Text(Text::plain(text)),
            Kind::Switch(on) => Filled::Switch(*on),
            Kind::List(items) => {
                let items = items.iter().map(|item| self.fill(item, stages));
                Filled::List(items.collect::<Result<_, _>>()?)
            }
            Kind::Table(entries) => {
                let filled = |e: &super::document::Entry| {
                    Ok::<_, String>((e.key.clone(), self.fill(&e.value, stages)?))
                };
                Filled::Table(entries.iter().map(filled).collect::<Result<_, _>>()?)
            }
        })
    }

    fn text(&mut self, text: &str, stages: bool) -> Result<Filled, String> {
        let pieces = pieces(text)?;
        if let [Piece::Name(name)] = &pieces[..]
            && let Some(known) = self.scope.variables.get(name)
        {
            self.axes.extend(known.axes.iter().cloned());
            return Ok(whole(known));
        }
        let mut filled = Text::default();
        for piece in pieces {
            match piece {
                Piece::Text(text) => filled.parts.push(Part::Text(text)),
                Piece::Name(name) => self.name(&name, stages, &mut filled)?,
            }
        }
        Ok(Filled::Text(filled))
    }

    /// Adds what a name in braces stands for.
    fn name(&mut self, name: &str, stages: bool, to: &mut Text) -> Result<(), String> {
        if let Some(known) = self.scope.variables.get(name) {
            self.axes.extend(known.axes.iter().cloned());
            to.unknown |= known.unknown;
            // A path begins a text, or stands behind the equals sign of NAME=PATH.
            let begins = to
                .parts
                .last()
                .is_none_or(|before| matches!(before, Part::Text(text) if text.ends_with('=')));
            to.given |= known.given && begins;
            let Some(value) = known.value.scalar() else {
                let what = known.value.what();
                return Err(format!(
                    "{{{name}}} is {what} and cannot be a part of a text"
                ));
            };
            let length: usize = to.parts.iter().map(Part::length).sum();
            if length + value.len() > LONGEST {
                return Err(format!(
                    "{{{name}}} makes the text longer than {LONGEST} bytes"
                ));
            }
            to.parts.push(Part::Text(value));
            return Ok(());
        }
        let (stage, output) = match name.split_once('.') {
            Some((stage, output)) => (stage, Some(output.replace('-', "_"))),
            None => (name, None),
        };
        if !self.scope.stages.contains(stage) {
            let near = nearest(name, self.scope.names());
            return Err(format!("{{{name}}} is no variable or stage{near}"));
        }
        if !stages {
            let what = self.what;
            return Err(format!("{{{name}}} is a stage, which {what} cannot name"));
        }
        to.parts.push(Part::Stage {
            name: stage.to_owned(),
            output,
        });
        Ok(())
    }
}

/// A text that is one variable has the variable's type.
fn whole(known: &Known) -> Filled {
    let text = |text: &str| {
        Filled::Text(Text {
            given: known.given,
            unknown: known.unknown,
            ..Text::plain(text)
        })
    };
    fn items(value: &Value, text: &impl Fn(&str) -> Filled) -> Filled {
        match &value.kind {
            Kind::Text(t) | Kind::Number(t) => text(t),
            Kind::Switch(on) => Filled::Switch(*on),
            Kind::List(list) => Filled::List(list.iter().map(|v| items(v, text)).collect()),
            Kind::Table(_) => text(""),
        }
    }
    items(&known.value, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_hold_names_and_double_ones_are_braces() {
        let text = |t: &str| Piece::Text(t.to_owned());
        let name = |n: &str| Piece::Name(n.to_owned());
        let found = pieces("a{b}{{c}}{ d.e }").unwrap();
        assert_eq!(found, [text("a"), name("b"), text("{c}"), name("d.e")]);
        assert_eq!(pieces("").unwrap(), []);
        for open in ["a{b", "a}b", "{"] {
            assert!(pieces(open).unwrap_err().contains("brace"), "{open}");
        }
    }
}
