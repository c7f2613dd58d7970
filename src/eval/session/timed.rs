//! How long two queries take beside each other.

use super::{Query, Session, Side};
use std::path::Path;
use std::time::Duration;

impl Session<'_> {
    /// Processor times of a predicted query and its reference, both of which returned rows before: run again and again in turns,
    /// [`super::Options::repeats`] times, or until one of them has used the deadline. The predicted query's time comes first.
    pub fn times(&mut self, file: &Path, predicted: &str, gold: &str) -> Vec<(Duration, Duration)> {
        let query = |side, sql: &str| Query {
            side,
            file: file.to_owned(),
            sql: sql.to_owned(),
            reversed: false,
        };
        let predicted = query(Side::Predicted, predicted);
        let gold = query(Side::Gold, gold);
        let deadline = self.desk.options.timeout;
        let mut used = (Duration::ZERO, Duration::ZERO);
        let mut times = Vec::new();
        while times.len() < self.desk.options.repeats.into() && used.0.max(used.1) < deadline {
            let first = self.time(&predicted, deadline);
            let second = self.time(&gold, deadline * self.patience);
            let (Some(first), Some(second)) = (first, second) else {
                break;
            };
            used = (used.0 + first, used.1 + second);
            times.push((first, second));
        }
        times
    }

    /// `None` where it gives no rows this time.
    fn time(&mut self, query: &Query, deadline: Duration) -> Option<Duration> {
        if self.known(query).is_some() {
            return None;
        }
        let (result, used) = self.desk.run(query, deadline);
        result.is_ok().then_some(used)
    }
}
