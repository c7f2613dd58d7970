//! `--set NAME=VALUE`: the variables of a recipe from outside.

use super::document::{Faults, Kind, Value, nearest};
use super::file::Recipe;
use std::collections::BTreeMap;

/// The values that were set, as their variables have them. One of the matrix is left with that value alone.
pub fn take(
    recipe: &mut Recipe,
    set: &[(String, String)],
    faults: &mut Faults,
) -> BTreeMap<String, Value> {
    let mut taken = BTreeMap::new();
    for (name, text) in set {
        let axis = recipe.matrix.iter_mut().find(|axis| axis.name == *name);
        let variable = recipe.variables.iter().find(|v| v.name == *name);
        let like = match (&axis, variable) {
            (Some(axis), _) => axis.values.first(),
            (None, Some(variable)) => variable.default.as_ref(),
            (None, None) => {
                let names = recipe.variables.iter().map(|v| v.name.as_str());
                let axes = recipe.matrix.iter().map(|axis| axis.name.as_str());
                let near = nearest(name, names.chain(axes));
                faults.add(
                    0,
                    format!("--set {name}: the recipe has no such variable{near}"),
                );
                continue;
            }
        };
        let kind = match like.map(|value| &value.kind) {
            Some(Kind::Number(_)) if text.parse::<f64>().is_err() => {
                faults.add(0, format!("--set {name}={text}: expected a number"));
                continue;
            }
            Some(Kind::Number(_)) => Kind::Number(text.clone()),
            Some(Kind::Switch(_)) => match text.parse() {
                Ok(on) => Kind::Switch(on),
                Err(_) => {
                    faults.add(0, format!("--set {name}={text}: expected true or false"));
                    continue;
                }
            },
            Some(Kind::List(_)) => {
                let item = |text: &str| Value {
                    line: 0,
                    kind: Kind::Text(text.to_owned()),
                };
                Kind::List(text.split(',').map(item).collect())
            }
            _ => Kind::Text(text.clone()),
        };
        let value = Value { line: 0, kind };
        if let Some(axis) = axis {
            axis.values = vec![value.clone()];
        }
        if taken.insert(name.clone(), value).is_some() {
            faults.add(0, format!("--set {name} is there twice"));
        }
    }
    taken
}
