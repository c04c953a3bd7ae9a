//! Which runs may go: a decision over rows alone, the same for every store. Never removes anything.

use std::collections::HashSet;

use runbook_core::run::Outcome;
use runbook_core::time::Timestamp;

use crate::limits::REQUEST_AGE;
use crate::row::RunRow;
use crate::store::Retention;

/// Looks at all rows, newest first, and says of each whether it may go.
#[derive(Debug)]
pub struct Judge {
    retention: Retention,
    now: Timestamp,
    /// Terminal runs seen.
    terminal: usize,
    any: bool,
    /// Runbooks, each in its environment, and for its target.
    succeeded: HashSet<(String, Option<String>, Option<String>)>,
    due: Option<Timestamp>,
}

impl Judge {
    /// A judge that has seen nothing.
    pub fn new(retention: Retention, now: Timestamp) -> Self {
        Self { retention, now, terminal: 0, any: false, succeeded: HashSet::new(), due: None }
    }

    /// Whether the run of the next row may go. Rows must come newest first.
    pub fn may_go(&mut self, row: &RunRow) -> bool {
        // The newest run holds the place of the next number.
        let newest = !std::mem::replace(&mut self.any, true);
        let Some(finished) = row.finished else { return false };
        self.terminal += 1;
        // A dry run proves nothing, and what succeeded in one environment or for one target nothing of another one.
        let last_success = finished.outcome == Outcome::Succeeded
            && !row.dry
            && self.succeeded.insert((row.runbook.clone(), row.environment.clone(), row.target.clone()));
        let named = !row.request_id.is_empty() && self.now - row.created_at < REQUEST_AGE;
        if newest || last_success {
            return false;
        }
        if named {
            self.due_at(row.created_at + REQUEST_AGE);
            return false;
        }
        let too_many = self.retention.max_runs.is_some_and(|max| self.terminal > max);
        let too_old = self.retention.max_age.is_some_and(|age| self.now - finished.at > age);
        if let Some(age) = self.retention.max_age
            && !too_old
        {
            self.due_at(finished.at + age);
        }
        too_old || too_many
    }

    fn due_at(&mut self, at: Timestamp) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Until when, at the earliest, time alone lets another run go; `None` where it never does.
    pub const fn due(&self) -> Option<Timestamp> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use runbook_core::id::{Digest, RunUid};
    use runbook_core::run::{Origin, Principal};
    use runbook_core::time::Span;

    use super::*;
    use crate::row::Finished;

    const DAY: Span = Span::minutes(24 * 60);
    const NOW: Timestamp = Timestamp(DAY.0 * 1_000);

    fn row(number: u64, runbook: &str, days_ago: i64, outcome: Option<Outcome>) -> RunRow {
        let at = Timestamp(NOW.0 - DAY.0 * days_ago);
        RunRow {
            uid: RunUid::from_bits(u128::from(number)),
            number,
            runbook: runbook.to_owned(),
            created_at: at,
            finished: outcome.map(|outcome| Finished { at, outcome }),
            origin: Origin::Schedule,
            by: Principal::engine(),
            request_id: String::new(),
            request_digest: Digest([0; 32]),
            definition: Digest([0; 32]),
            last_event: 9,
            epoch: 1,
            dry: false,
            environment: None,
            editions: Vec::new(),
            target: None,
        }
    }

    fn gone(retention: Retention, rows: &[RunRow]) -> Vec<u64> {
        let mut judge = Judge::new(retention, NOW);
        rows.iter().filter(|row| judge.may_go(row)).map(|row| row.number).collect()
    }

    #[test]
    fn a_dry_run_is_no_success() {
        let ok = Some(Outcome::Succeeded);
        let dry = RunRow { dry: true, ..row(4, "a", 9, ok) };
        let rows = [row(5, "b", 0, None), dry, row(3, "a", 9, ok), row(2, "a", 9, ok)];
        assert_eq!(gone(Retention { max_runs: None, max_age: Some(DAY) }, &rows), [4, 2]);
    }

    #[test]
    fn age_and_count_decide() {
        use Outcome::{Failed, Succeeded};
        let rows = [
            row(9, "a", 1, Some(Failed)),
            row(8, "a", 2, Some(Succeeded)),
            row(7, "b", 20, Some(Succeeded)),
            row(6, "b", 30, None),
            row(5, "a", 40, Some(Succeeded)),
            row(4, "b", 50, Some(Failed)),
        ];
        let none = Retention { max_age: None, max_runs: None };
        assert!(gone(none, &rows).is_empty());
        assert_eq!(gone(Retention { max_age: Some(Span(DAY.0 * 10)), ..none }, &rows), [5, 4]);
        assert_eq!(gone(Retention { max_age: Some(Span(DAY.0 * 45)), ..none }, &rows), [4]);
        assert_eq!(gone(Retention { max_runs: Some(4), ..none }, &rows), [4]);
        assert_eq!(gone(Retention { max_runs: Some(0), ..none }, &rows), [5, 4]);
    }

    #[test]
    fn a_request_is_kept_for_a_day() {
        let mut rows = [
            row(3, "a", 0, Some(Outcome::Failed)),
            row(2, "a", 0, Some(Outcome::Failed)),
            row(1, "a", 2, Some(Outcome::Failed)),
        ];
        for row in &mut rows {
            row.request_id = format!("request {}", row.number);
        }
        assert_eq!(gone(Retention { max_age: None, max_runs: Some(0) }, &rows), [1]);
    }

    #[test]
    fn time_lets_the_next_run_go_when_it_was_said_to() {
        let mut rows = [
            row(4, "a", 1, Some(Outcome::Failed)),
            row(3, "a", 2, Some(Outcome::Succeeded)),
            row(2, "a", 5, Some(Outcome::Failed)),
            row(1, "a", 7, None),
        ];
        let retention = Retention { max_age: Some(Span(DAY.0 * 9)), max_runs: None };
        let due = |rows: &[RunRow]| {
            let mut judge = Judge::new(retention, NOW);
            assert!(!rows.iter().any(|row| judge.may_go(row)));
            judge.due()
        };
        // Neither the newest nor the last success nor one that is not over counts.
        assert_eq!(due(&rows), Some(NOW + Span(DAY.0 * 4)));
        assert_eq!(due(&rows[..2]), None);
        rows[2].request_id = "x".to_owned();
        rows[2].created_at = NOW;
        assert_eq!(due(&rows), Some(NOW + REQUEST_AGE));
    }
}
