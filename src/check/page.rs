//! A report as a page of text.

use super::finding::Kind;
use super::report::{Count, Report};
use super::rows::Side;
use crate::run::words::plain;
use std::fmt::{self, Display, Formatter};

/// Most findings that are shown of a kind that has too many, and of one that has not.
const SHOWN: [usize; 2] = [4, 1];
/// Most characters of each.
const WIDTH: usize = 200;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        for file in &self.files {
            let what = match file.side {
                Side::Train => "training",
                Side::Heldout => "held-out",
            };
            let path = plain(&file.path.display().to_string());
            writeln!(f, "{path}: {} {what} rows", file.rows)?;
        }
        let found: Vec<&Count> = self.counts.iter().filter(|c| c.count > 0).collect();
        if found.is_empty() {
            writeln!(f, "nothing found")?;
        }
        for count in &found {
            let mark = if count.is_red() {
                "NOT ALLOWED"
            } else {
                "allowed"
            };
            let (name, words) = (count.kind.name(), count.kind.words());
            let of = self.of(count.kind);
            writeln!(
                f,
                "  {:>7}{of:<10} {name:<15} {mark:<12} {words}",
                count.count
            )?;
        }
        if let Some(tokens) = &self.tokens {
            writeln!(
                f,
                "tokens a row ({}): median {}, 95% {}, longest {}; --max-seq {}; {:.1}% of {} tokens are learned",
                tokens.template,
                tokens.median,
                tokens.p95,
                tokens.longest,
                tokens.max_seq,
                100.0 * tokens.label_share,
                tokens.tokens
            )?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        for count in found {
            writeln!(f, "{}:", count.kind.name())?;
            let of_kind = self.findings.iter().filter(|own| own.kind == count.kind);
            let shown = if count.is_red() { SHOWN[0] } else { SHOWN[1] };
            for finding in of_kind.take(shown) {
                let parts = [
                    Some(finding.place.as_str()),
                    finding.other.as_deref(),
                    finding.field.as_deref(),
                    Some(finding.detail.as_str()),
                ];
                let parts: Vec<_> = parts
                    .into_iter()
                    .flatten()
                    .filter(|p| !p.is_empty())
                    .collect();
                let line = plain(&parts.join("  "));
                let mut short: String = line.chars().take(WIDTH).collect();
                if short.len() < line.len() {
                    short.push('…');
                }
                writeln!(f, "  {short}")?;
            }
            if count.count > shown {
                writeln!(f, "  and {} more", count.count - shown)?;
            }
        }
        Ok(())
    }
}

impl Report {
    /// What a kind's count is out of.
    fn of(&self, kind: Kind) -> String {
        let all = match kind {
            Kind::Exact | Kind::Near => Some(self.asked),
            Kind::Literals | Kind::Shapes => Some(self.queries),
            Kind::Refused | Kind::Duplicates | Kind::Contradictions => {
                Some(self.files.iter().map(|file| file.rows).sum())
            }
            _ => None,
        };
        all.map_or(String::new(), |all| format!(" of {all}"))
    }
}
