//! How many findings of each kind are no fault: `duplicates`, `near=5`.

use super::finding::Kind;
use crate::run::nearest::nearest;
use anyhow::{Result, anyhow, ensure};
use std::collections::BTreeMap;

/// The most findings of each kind; none is any number.
#[derive(Clone, Debug)]
pub struct Allowed(BTreeMap<Kind, Option<usize>>);

impl Default for Allowed {
    /// No findings, but for the kinds that inform.
    fn default() -> Self {
        let most = |kind: Kind| (kind, (!kind.informs()).then_some(0));
        Self(Kind::ALL.into_iter().map(most).collect())
    }
}

impl Allowed {
    /// Reads KIND and KIND=N texts; the other kinds are as by default.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let mut allowed = Self::default();
        let mut given = BTreeMap::new();
        for text in texts {
            let (name, most) = match text.split_once('=') {
                Some((name, most)) => (name, Some(most)),
                None => (text.as_str(), None),
            };
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
            let kind = kind.ok_or_else(|| {
                let names = Kind::ALL.map(Kind::name);
                match nearest(name, names) {
                    Some(near) => anyhow!("--allow {text}: did you mean {near}?"),
                    None => anyhow!("--allow {text}: there are {}", names.join(", ")),
                }
            })?;
            let most = most.map(|most| {
                let number = most.parse::<usize>();
                number.map_err(|_| anyhow!("--allow {text}: {most:?} is no number of findings"))
            });
            let most = most.transpose()?;
            let before = given.insert(kind, text);
            ensure!(before.is_none(), "--allow {text}: {name} is given twice");
            allowed.0.insert(kind, most);
        }
        Ok(allowed)
    }

    /// The most findings of a kind; none is any number.
    pub fn most(&self, kind: Kind) -> Option<usize> {
        self.0.get(&kind).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_allowed_by_name_and_number() {
        let parse = |texts: &[&str]| {
            let texts: Vec<_> = texts.iter().map(|text| text.to_string()).collect();
            Allowed::parse(&texts)
        };
        let allowed = parse(&["near", "secrets=2", "shapes=0"]).unwrap();
        let most = [Kind::Near, Kind::Secrets, Kind::Shapes, Kind::Exact].map(|k| allowed.most(k));
        assert_eq!(most, [None, Some(2), Some(0), Some(0)]);
        assert_eq!(allowed.most(Kind::Literals), None);
        let error = |texts: &[&str]| parse(texts).unwrap_err().to_string();
        assert!(error(&["secret"]).ends_with("did you mean secrets?"));
        assert!(error(&["zzz"]).contains("there are refused, exact, "));
        assert!(error(&["near=many"]).contains("\"many\" is no number"));
        assert!(error(&["near=1", "near"]).contains("near is given twice"));
    }
}
