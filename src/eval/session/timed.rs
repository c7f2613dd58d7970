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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::desk;

    #[test]
    fn queries_run_in_turns_so_often_and_no_longer_than_the_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.sql");
        std::fs::write(&file, "CREATE TABLE t(a);").unwrap();
        let runs = |predicted: &str, timeout| {
            let mut desk = desk(folder.path(), timeout);
            desk.options.repeats = 7;
            desk.session(&[], 1)
                .times(&file, predicted, "SELECT 1")
                .len()
        };
        let minute = Duration::from_secs(60);
        assert_eq!(runs("SELECT 2", minute), 7);
        assert_eq!(runs("SELECT nope", minute), 0);
        // The first pair has used such a deadline, whatever the machine.
        assert!(runs("SELECT 2", Duration::from_nanos(1)) <= 1);
    }
}
