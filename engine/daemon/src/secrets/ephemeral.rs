//! Values of inputs that are kept nowhere: they are here while the daemon lives and their run is not over, and are not
//! written anywhere. Never knows who wants them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use runbook_core::id::RunUid;
use serde_json::{Map, Value};

/// The values, by the run at the top.
#[derive(Default)]
pub struct Ephemeral(Mutex<HashMap<RunUid, Map<String, Value>>>);

impl std::fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ephemeral")
    }
}

impl Ephemeral {
    fn all(&self) -> MutexGuard<'_, HashMap<RunUid, Map<String, Value>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes values for a run; one that is there already is replaced.
    pub fn keep(&self, run: RunUid, values: Map<String, Value>) {
        if !values.is_empty() {
            self.all().entry(run).or_default().extend(values);
        }
    }

    /// The value of an input, if somebody gave it to this daemon.
    pub fn get(&self, run: RunUid, input: &str) -> Option<Value> {
        self.all().get(&run)?.get(input).cloned()
    }

    /// The run is over, or never began.
    pub fn forget(&self, run: RunUid) {
        self.all().remove(&run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_there_until_their_run_is_over() {
        let (ephemeral, run, other) = (Ephemeral::default(), RunUid::from_bits(1), RunUid::from_bits(2));
        let of = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect();
        ephemeral.keep(run, of(&[("pin", "1"), ("key", "a")]));
        ephemeral.keep(run, of(&[("pin", "2")]));
        ephemeral.keep(other, of(&[("pin", "3")]));
        let get = |run, name: &str| ephemeral.get(run, name).and_then(|value| value.as_str().map(str::to_owned));
        assert_eq!((get(run, "pin").as_deref(), get(run, "key").as_deref()), (Some("2"), Some("a")));
        ephemeral.forget(run);
        assert_eq!((get(run, "pin"), get(other, "pin").as_deref()), (None, Some("3")));
        assert_eq!(format!("{ephemeral:?}"), "Ephemeral");
    }
}
