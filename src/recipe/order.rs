//! What comes before what.

use super::document::Faults;
use std::collections::BTreeMap;

/// The names in an order in which each stands behind what it needs, else as they are given, with their lines. A circle is a
/// fault, and what is in it is left out.
pub fn sorted(
    names: &[(&str, usize)],
    needs: &BTreeMap<&str, Vec<String>>,
    faults: &mut Faults,
) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    let needed = |name: &str| needs.get(name).map_or(&[][..], Vec::as_slice);
    let place = |name: &str| names.iter().position(|(other, _)| *other == name);
    loop {
        let free = (0..names.len()).find(|at| {
            let mut places = needed(names[*at].0).iter().filter_map(|need| place(need));
            !order.contains(at) && places.all(|need| order.contains(&need))
        });
        match free {
            Some(at) => order.push(at),
            None => break,
        }
    }
    let Some(start) = (0..names.len()).find(|at| !order.contains(at)) else {
        return order;
    };
    // Each that is left needs another that is left: following them comes back.
    let mut path = vec![start];
    while let Some(&last) = path.last() {
        let mut left = needed(names[last].0).iter().filter_map(|need| place(need));
        let Some(next) = left.find(|need| !order.contains(need)) else {
            break;
        };
        if let Some(from) = path.iter().position(|at| *at == next) {
            path.push(next);
            let circle: Vec<&str> = path[from..].iter().map(|at| names[*at].0).collect();
            faults.add(names[next].1, format!("a circle: {}", circle.join(" -> ")));
            break;
        }
        path.push(next);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_stage_stands_behind_what_it_needs_and_a_circle_is_named() {
        let names = [("c", 1), ("a", 2), ("b", 3), ("d", 4)];
        let need = |of: &[&str]| of.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        let mut faults = Faults::new(Path::new("r"));
        let needs = BTreeMap::from([("c", need(&["a", "b"])), ("b", need(&["a"]))]);
        assert_eq!(sorted(&names, &needs, &mut faults), [1, 2, 0, 3]);
        assert!(faults.is_empty());
        let needs = BTreeMap::from([
            ("c", need(&["a"])),
            ("a", need(&["b"])),
            ("b", need(&["a"])),
        ]);
        assert_eq!(sorted(&names, &needs, &mut faults), [3]);
        assert_eq!(faults.to_string(), "r:2: a circle: a -> b -> a");
    }
}
