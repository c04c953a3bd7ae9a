//! What files need to know of each other: what a runbook takes, what it leaves, and which others it starts. Never knows
//! what its steps do.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use indexmap::IndexMap;

use super::environments::Environments;
use crate::definition::{Effect, InputDecl, Runbook, Step, ValueType};
use crate::destruction::approved;

/// What files may name that the daemon's configuration defines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    /// How many places each pool has, by its name.
    pub pools: BTreeMap<String, usize>,
    /// The roles that somebody has.
    pub roles: BTreeSet<String>,
}

/// A runbook as others see it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interface {
    /// What it takes.
    pub inputs: IndexMap<String, InputDecl>,
    /// What it leaves when it succeeded.
    pub outputs: IndexMap<String, ValueType>,
    /// The runbooks that its steps start, each once.
    pub calls: Vec<String>,
    /// The files that it lists.
    pub files: Vec<String>,
    /// The environments that it may run in; any when there are none.
    pub environments: Vec<String>,
    /// Whether it runs in an environment only.
    pub needs_environment: bool,
    /// Whether a step of it asks persons.
    pub asks: bool,
    /// Whether a step of it has no way back.
    pub no_return: bool,
    /// Whether a step of it destroys something, and nobody is asked before.
    pub destroys: bool,
    /// Whether it has errors.
    pub broken: bool,
}

impl Interface {
    /// Of a runbook without errors.
    pub fn of(runbook: &Runbook) -> Self {
        Self {
            inputs: runbook.inputs.clone(),
            outputs: runbook.outputs.iter().map(|(name, decl)| (name.clone(), decl.value_type)).collect(),
            calls: runbook.called().into_iter().map(str::to_owned).collect(),
            files: runbook.files.clone(),
            environments: runbook.environments.clone(),
            needs_environment: runbook.needs_environment,
            asks: runbook.every_step().iter().any(|step| step.approval().is_some()),
            no_return: runbook.every_step().iter().any(|step| step.no_return),
            destroys: destroys_unasked(runbook),
            broken: false,
        }
    }
}

/// Whether a step destroys something, and nobody is asked before.
fn destroys_unasked(runbook: &Runbook) -> bool {
    let destroys = |step: &Step| step.effect == Effect::Destructive;
    runbook.steps.iter().any(destroys)
        && runbook
            .steps
            .iter()
            .zip(approved(runbook, &std::collections::BTreeSet::new()))
            .any(|(step, asked)| destroys(step) && !asked)
}

/// The runbooks that a file may start, by name.
#[derive(Debug, Clone, Default)]
pub struct Interfaces {
    known: BTreeMap<String, Interface>,
    environments: Environments,
    /// What the configuration defines; `None` where nobody knows.
    configured: Option<Configured>,
    /// How many levels of runs each starts; `None` where there is no end.
    levels: HashMap<String, Option<u32>>,
}

impl Interfaces {
    /// Of these runbooks; of two of one name the first.
    pub fn new(all: impl IntoIterator<Item = (String, Interface)>) -> Self {
        let mut known = BTreeMap::new();
        for (name, interface) in all {
            known.entry(name).or_insert(interface);
        }
        let levels = levels(&known);
        Self { known, environments: Environments::default(), configured: None, levels }
    }

    /// The same, where there are these environments.
    #[must_use]
    pub fn in_environments(self, environments: Environments) -> Self {
        Self { environments, ..self }
    }

    /// The same, where it is known what the configuration defines.
    #[must_use]
    pub fn with_configured(self, configured: Option<Configured>) -> Self {
        Self { configured, ..self }
    }

    /// What the configuration defines; `None` where nobody knows.
    pub const fn configured(&self) -> Option<&Configured> {
        self.configured.as_ref()
    }

    /// The environments that there are.
    pub const fn environments(&self) -> &Environments {
        &self.environments
    }

    /// All runbooks.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Interface)> {
        self.known.iter().map(|(name, interface)| (name.as_str(), interface))
    }

    /// Whether a runbook, or one that it comes to start, does not run where there is no environment.
    pub fn needs_environment(&self, name: &str) -> bool {
        self.any_below(name, |interface| interface.needs_environment)
    }

    /// Whether a runbook and all that it comes to start may run in an environment.
    pub fn run_in(&self, name: &str, environment: &str) -> bool {
        let out = |names: &[String]| !names.is_empty() && !names.iter().any(|name| name == environment);
        !self.any_below(name, |interface| out(&interface.environments))
    }

    /// The runbook of a name.
    pub fn get(&self, name: &str) -> Option<&Interface> {
        self.known.get(name)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }

    /// Whether a runbook, or one that it comes to start, asks persons.
    pub fn asks(&self, name: &str) -> bool {
        self.any_below(name, |interface| interface.asks)
    }

    /// Whether a runbook, or one that it comes to start, has a step without a way back.
    pub fn has_no_return(&self, name: &str) -> bool {
        self.any_below(name, |interface| interface.no_return)
    }

    fn any_below(&self, name: &str, holds: impl Fn(&Interface) -> bool) -> bool {
        let mut open = vec![name];
        let mut seen = HashSet::from([name]);
        while let Some(interface) = open.pop().map(|name| self.known.get(name)) {
            let Some(interface) = interface else { continue };
            if holds(interface) {
                return true;
            }
            open.extend(interface.calls.iter().map(String::as_str).filter(|next| seen.insert(next)));
        }
        false
    }

    /// How many levels of runs a runbook starts; `None` where there is no end to them.
    pub fn levels(&self, name: &str) -> Option<u32> {
        self.levels.get(name).copied().unwrap_or(Some(0))
    }

    /// The shortest way by which a runbook comes to start another one, both included; `None` where it never does.
    pub fn way(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut before: HashMap<&str, &str> = HashMap::new();
        let mut open = VecDeque::from([from]);
        let mut seen = HashSet::from([from]);
        while let Some(at) = open.pop_front() {
            if at == to {
                let mut way = vec![to.to_owned()];
                let mut at = to;
                while let Some(previous) = before.get(at) {
                    way.push((*previous).to_owned());
                    at = previous;
                }
                way.reverse();
                return Some(way);
            }
            for next in self.known.get(at).into_iter().flat_map(|interface| &interface.calls) {
                if seen.insert(next) {
                    before.insert(next, at);
                    open.push_back(next);
                }
            }
        }
        None
    }
}

/// Takes away, again and again, what starts only what was taken away before: what is left has no end.
fn levels(known: &BTreeMap<String, Interface>) -> HashMap<String, Option<u32>> {
    let mut callers: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut open: HashMap<&str, usize> = HashMap::with_capacity(known.len());
    for (name, interface) in known {
        let calls = interface.calls.iter().filter(|call| known.contains_key(*call));
        open.insert(name, calls.clone().count());
        calls.for_each(|call| callers.entry(call).or_default().push(name));
    }
    let mut levels: HashMap<String, Option<u32>> = known.keys().map(|name| (name.clone(), None)).collect();
    let mut done: Vec<(&str, u32)> = Vec::new();
    let mut height: HashMap<&str, u32> = HashMap::new();
    done.extend(open.iter().filter(|(_, calls)| **calls == 0).map(|(name, _)| (*name, 0)));
    while let Some((name, level)) = done.pop() {
        levels.insert(name.to_owned(), Some(level));
        for caller in callers.get(name).into_iter().flatten() {
            let above = height.entry(caller).or_default();
            *above = (*above).max(level + 1);
            if let Some(calls) = open.get_mut(caller) {
                *calls -= 1;
                if *calls == 0 {
                    done.push((caller, *above));
                }
            }
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces(all: &[(&str, &[&str])]) -> Interfaces {
        Interfaces::new(all.iter().map(|(name, calls)| {
            let calls = calls.iter().map(|call| (*call).to_owned()).collect();
            ((*name).to_owned(), Interface { calls, ..Interface::default() })
        }))
    }

    #[test]
    fn levels_are_counted_and_circles_have_none() {
        let all =
            interfaces(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[]), ("d", &["e"]), ("e", &["d"]), ("f", &["e"])]);
        let levels = |name| all.levels(name);
        assert_eq!([levels("a"), levels("b"), levels("c")], [Some(2), Some(1), Some(0)]);
        assert_eq!([levels("d"), levels("e"), levels("f")], [None; 3]);
    }

    #[test]
    fn a_way_is_told_from_one_to_the_other() {
        let all = interfaces(&[("a", &["b"]), ("b", &["x", "c"]), ("x", &[]), ("c", &["a"])]);
        assert_eq!(all.way("a", "c").unwrap(), ["a", "b", "c"]);
        assert_eq!(all.way("b", "a").unwrap(), ["b", "c", "a"]);
        assert_eq!(all.way("x", "a"), None);
        assert_eq!(all.way("nobody", "a"), None);
    }
}
