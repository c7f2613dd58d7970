//! Many wrong tensors in one readable line.

use std::collections::BTreeMap;

/// Joins messages; those that differ only in the layer become one that lists the layers:
/// `layers.0-27.mlp.up_proj.weight is missing`.
pub fn describe(messages: &[String]) -> String {
    let mut order = Vec::new();
    let mut layers: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for message in messages {
        let (before, layer, after) = split_layer(message);
        let key = (before, after);
        if !layers.contains_key(&key) {
            order.push(key.clone());
        }
        layers.entry(key).or_default().extend(layer);
    }
    let one = |key: &(String, String)| match layers[key].as_slice() {
        [] => key.0.clone(),
        numbers => format!("{}{}{}", key.0, ranges(numbers), key.1),
    };
    order.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// `a.layers.3.b` to `a.layers.`, 3 and `.b`.
fn split_layer(message: &str) -> (String, Option<usize>, String) {
    let whole = || (message.to_string(), None, String::new());
    let Some(at) = message.find("layers.") else {
        return whole();
    };
    let (before, rest) = message.split_at(at + "layers.".len());
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    match rest[..digits].parse() {
        Ok(layer) => (before.to_string(), Some(layer), rest[digits..].to_string()),
        Err(_) => whole(),
    }
}

/// Numbers as `0-3,7`.
pub fn ranges(numbers: &[usize]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort();
    sorted.dedup();
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for n in sorted {
        match runs.last_mut() {
            Some(run) if run.1 + 1 == n => run.1 = n,
            _ => runs.push((n, n)),
        }
    }
    let text = runs.iter().map(|&(a, b)| match a == b {
        true => a.to_string(),
        false => format!("{a}-{b}"),
    });
    text.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn layers_are_gathered() {
        let messages = [
            "layers.0.q is missing",
            "norm is [2], expected [3]",
            "layers.1.q is missing",
            "layers.1.k is missing",
            "layers.5.q is missing",
        ];
        let messages = messages.map(str::to_string);
        assert_eq!(
            describe(&messages),
            "layers.0-1,5.q is missing; norm is [2], expected [3]; layers.1.k is missing"
        );
    }
}
