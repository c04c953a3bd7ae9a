//! The secret values that attempts of a run were given: they are hidden in its other attempts as well, which may come
//! by them through a file or what they ask. Memory only, until the run has succeeded or this daemon ends. Never knows where
//! they came from.

use std::collections::{HashMap, VecDeque};

use runbook_core::id::RunUid;
use runbook_shim::secrets::wipe_text;

/// Shorter values, in bytes, are hidden in the attempts alone that were given them: elsewhere they are there by chance.
const SHORTEST: usize = 8;
/// So many values of one run are hidden in its other attempts, the last ones.
const VALUES: usize = 256;
/// So many bytes they have together at most.
const BYTES: usize = 1 << 20;

/// Of so many runs that are over and can be resumed they are kept, the last ones.
const OVER: usize = 64;

/// The values, by the run at the top.
#[derive(Default)]
pub struct Hidden {
    runs: HashMap<RunUid, VecDeque<String>>,
    /// Runs that are over without success, the last one at the end.
    over: VecDeque<RunUid>,
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden")
    }
}

impl Hidden {
    /// An attempt is given `values`: they are kept for the attempts that follow, and `values` become all that it has to hide.
    pub fn join(&mut self, run: RunUid, values: &mut Vec<String>) {
        if values.is_empty() && !self.runs.contains_key(&run) {
            return;
        }
        self.over.retain(|over| *over != run);
        let known = self.runs.entry(run).or_default();
        let before: Vec<String> = known.iter().filter(|value| !values.contains(value)).cloned().collect();
        for value in values.iter().filter(|value| value.len() >= SHORTEST) {
            if !known.contains(value) {
                known.push_back(value.clone());
            }
        }
        while known.len() > VALUES || known.iter().map(String::len).sum::<usize>() > BYTES {
            known.pop_front().iter_mut().for_each(wipe_text);
        }
        values.extend(before);
    }

    /// The run is over: it may be resumed unless it succeeded.
    pub fn over(&mut self, run: RunUid, succeeded: bool) {
        if succeeded {
            return self.forget(run);
        }
        if self.runs.contains_key(&run) {
            self.over.push_back(run);
        }
        if self.over.len() > OVER
            && let Some(oldest) = self.over.pop_front()
        {
            self.forget(oldest);
        }
    }

    fn forget(&mut self, run: RunUid) {
        self.runs.remove(&run).into_iter().flatten().for_each(|mut value| wipe_text(&mut value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(hidden: &mut Hidden, run: RunUid, values: &[&str]) -> Vec<String> {
        let mut values = values.iter().map(|value| (*value).to_owned()).collect();
        hidden.join(run, &mut values);
        values
    }

    #[test]
    fn what_one_attempt_was_given_is_hidden_in_those_that_follow() {
        let (mut hidden, run, other) = (Hidden::default(), RunUid::from_bits(1), RunUid::from_bits(2));
        assert_eq!(join(&mut hidden, run, &[]), [""; 0]);
        assert_eq!(join(&mut hidden, run, &["long-enough", "short"]), ["long-enough", "short"]);
        assert_eq!(join(&mut hidden, run, &[]), ["long-enough"]);
        assert_eq!(join(&mut hidden, run, &["another-one", "long-enough"]), ["another-one", "long-enough"]);
        assert_eq!(join(&mut hidden, run, &["short"]), ["short", "long-enough", "another-one"]);
        assert_eq!(join(&mut hidden, other, &[]), [""; 0]);
        hidden.over(run, false);
        assert_eq!(join(&mut hidden, run, &[]).len(), 2, "it was resumed");
        hidden.over(run, true);
        assert_eq!(join(&mut hidden, run, &[]), [""; 0]);
        assert_eq!(format!("{hidden:?}"), "Hidden");
    }

    #[test]
    fn the_last_ones_are_kept() {
        let (mut hidden, run) = (Hidden::default(), RunUid::from_bits(1));
        for number in 0..2 * VALUES {
            join(&mut hidden, run, &[&format!("token-{number:04}")]);
        }
        let kept = join(&mut hidden, run, &[]);
        assert_eq!((kept.len(), kept[0].as_str()), (VALUES, format!("token-{VALUES:04}").as_str()));
        join(&mut hidden, run, &[&"x".repeat(BYTES)]);
        assert_eq!(join(&mut hidden, run, &[]).len(), 1);
        hidden.over(run, false);
        for number in 0..OVER {
            let run = RunUid::from_bits(2 + number as u128);
            join(&mut hidden, run, &["long-enough"]);
            hidden.over(run, false);
        }
        assert_eq!((hidden.runs.len(), hidden.over.len()), (OVER, OVER));
        assert_eq!(join(&mut hidden, run, &[]), [""; 0]);
    }
}
