//! What differs from what is written, stack by stack: what a look at one changes of what is known, and which differences
//! somebody has accepted. A look that failed says nothing about differences. Never knows what looked, nor what the clock says.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::Value;

use crate::id::RunUid;
use crate::limits::{
    DRIFT_ADDRESS_BYTES, DRIFT_ATTRIBUTES_BYTES, DRIFT_DIFFERENCES, DRIFT_KEPT_DAYS, DRIFT_STACK_BYTES, DRIFT_STACKS,
};
use crate::run::Principal;
use crate::time::{Span, Timestamp};

/// What is looked at as one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stack {
    /// The environment of the runs that look at it, if they are in one.
    pub environment: Option<String>,
    /// The kind of what looks, such as `terraform`.
    pub source: String,
    /// Its name: the folder that it is written in.
    pub name: String,
    /// Which of the things that are made of it.
    pub workspace: String,
}

/// Who saw it, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The run at the top.
    pub run: RunUid,
    /// Its number.
    pub number: u64,
    /// When.
    pub at: Timestamp,
}

/// How something differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What differs.
    pub address: String,
    /// What would be done about it: `create`, `update`, `replace`, `delete`.
    pub action: String,
    /// The names of what differs of it, never a value.
    pub attributes: Vec<String>,
    /// How many more these are.
    pub more: u64,
    /// What is there of it instead, as a keyed digest that tells no value; empty where it is not known.
    pub mark: String,
}

/// Somebody knows of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// Until when that holds.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: Principal,
    /// When they said so.
    pub at: Timestamp,
}

/// A difference that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How it differs.
    pub found: Found,
    /// When the address was first seen to differ; since then it has in every look.
    pub first: Seen,
    /// Since when it differs in this way.
    pub since: Seen,
    /// Whether somebody accepted it as it is.
    pub accepted: Option<Acceptance>,
}

impl Difference {
    /// The acceptance that holds at a time.
    pub fn acceptance(&self, now: Timestamp) -> Option<&Acceptance> {
        self.accepted.as_ref().filter(|accepted| now < accepted.until)
    }
}

/// What is known of the looks at a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looks {
    /// The newest that came to an end.
    pub last: Option<Seen>,
    /// Differences that it found beyond those that are kept.
    pub left_out: u64,
    /// The newest of all, where it failed, and why.
    pub failed: Option<(Seen, String)>,
}

/// All that is known of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The looks at it.
    pub looks: Looks,
    /// What differs, by address.
    pub differences: BTreeMap<String, Difference>,
}

impl Standing {
    /// Whether the newest look found something that the one before did not, or not in this way.
    pub fn is_new(&self, difference: &Difference) -> bool {
        self.looks.last == Some(difference.since)
    }

    fn newest(&self) -> Timestamp {
        let failed = self.looks.failed.as_ref().map(|(seen, _)| seen.at);
        let last = self.looks.last.map(|seen| seen.at);
        failed.max(last).unwrap_or(Timestamp(0))
    }
}

/// A look at a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// At which.
    pub stack: Stack,
    /// By whom, and when.
    pub seen: Seen,
    /// What it found, or why it failed.
    pub found: Result<Sight, String>,
}

/// What a look found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// What differs.
    pub found: Vec<Found>,
    /// How many more differences there are than it could tell of.
    pub left_out: u64,
}

/// A change of what is known: all that has to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The looks at a stack.
    Looks(Stack, Looks),
    /// A difference is there, in this way.
    Differs(Stack, Difference),
    /// What had this address differs no more.
    Gone(Stack, String),
    /// Nobody looks at a stack any more.
    Forgotten(Stack),
}

/// What somebody accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// The address.
    pub address: String,
    /// In which environment, where that is said.
    pub environment: Option<String>,
    /// Of which stack, where that is said.
    pub name: Option<String>,
    /// Of which workspace, where that is said.
    pub workspace: Option<String>,
    /// As what.
    pub acceptance: Acceptance,
}

/// Why it cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing of that address differs.
    #[error("nothing differs at {0:?}, as far as the newest looks say; `runbook drift` lists what does")]
    NotThere(String),
    /// It differs in several stacks.
    #[error("{0:?} differs in several stacks; name one by its environment, stack or workspace: {1}")]
    Ambiguous(String, String),
}

/// What is known of all stacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    stacks: BTreeMap<Stack, Standing>,
}

impl Book {
    /// All stacks, by environment, source, name and workspace.
    pub const fn stacks(&self) -> &BTreeMap<Stack, Standing> {
        &self.stacks
    }

    /// What looks change. Of several at one stack the last one counts.
    pub fn take_in(&self, looks: Vec<Look>) -> Vec<Change> {
        let latest: BTreeMap<Stack, Look> = looks.into_iter().map(|look| (look.stack.clone(), look)).collect();
        let mut changes = Vec::new();
        for (stack, look) in latest {
            let sizes = [&stack.source, &stack.name, &stack.workspace].map(String::len);
            if sizes.into_iter().any(|size| size > DRIFT_STACK_BYTES) {
                continue;
            }
            if !self.stacks.contains_key(&stack) {
                changes.extend(self.forget(look.seen.at));
            }
            changes.extend(self.of_look(stack, look));
        }
        changes
    }

    fn of_look(&self, stack: Stack, look: Look) -> Vec<Change> {
        let none = Standing::default();
        let known = self.stacks.get(&stack).unwrap_or(&none);
        let Sight { found, left_out } = match look.found {
            Ok(sight) => sight,
            Err(why) => {
                let looks = Looks { failed: Some((look.seen, why)), ..known.looks.clone() };
                return vec![Change::Looks(stack, looks)];
            }
        };
        let all = found.len();
        let mut found: Vec<Found> =
            found.into_iter().filter(|found| found.address.len() <= DRIFT_ADDRESS_BYTES).map(bounded).collect();
        found.sort_by(|one, other| one.address.cmp(&other.address));
        found.dedup_by(|one, other| one.address == other.address);
        found.truncate(DRIFT_DIFFERENCES);
        let left_out = left_out + (all - found.len()) as u64;
        let gone = known
            .differences
            .keys()
            .filter(|address| found.binary_search_by(|found| found.address.as_str().cmp(address.as_str())).is_err());
        let mut changes: Vec<Change> = gone.map(|address| Change::Gone(stack.clone(), address.clone())).collect();
        for found in found {
            let difference = match known.differences.get(&found.address) {
                Some(known) if known.found == found => continue,
                // What was accepted is not what is there now.
                Some(known) => Difference { found, first: known.first, since: look.seen, accepted: None },
                None => Difference { found, first: look.seen, since: look.seen, accepted: None },
            };
            changes.push(Change::Differs(stack.clone(), difference));
        }
        changes.push(Change::Looks(stack, Looks { last: Some(look.seen), left_out, failed: None }));
        changes
    }

    /// Makes room for one more: what nobody has looked at for long goes, and where there are too many, what was looked at
    /// longest ago.
    fn forget(&self, now: Timestamp) -> Vec<Change> {
        let oldest = now + Span::minutes(-DRIFT_KEPT_DAYS * 24 * 60);
        let mut by_age: Vec<(&Stack, &Standing)> = self.stacks.iter().collect();
        by_age.sort_by_key(|(_, standing)| standing.newest());
        let over = (by_age.len() + 1).saturating_sub(DRIFT_STACKS);
        let old = by_age.iter().take_while(|(_, standing)| standing.newest() < oldest).count();
        let going = by_age.into_iter().take(over.max(old));
        let changes = going.flat_map(|(stack, standing)| {
            let gone = standing.differences.keys().map(|address| Change::Gone(stack.clone(), address.clone()));
            gone.chain([Change::Forgotten(stack.clone())])
        });
        changes.collect()
    }

    /// The differences that are accepted of the stacks of a name, with their workspaces.
    pub fn accepted<'a>(
        &'a self,
        environment: Option<&'a str>,
        source: &'a str,
        name: &'a str,
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a str, &'a Found)> {
        let of_it = move |stack: &Stack| {
            (stack.environment.as_deref(), stack.source.as_str(), stack.name.as_str()) == (environment, source, name)
        };
        let stacks = self.stacks.iter().filter(move |(stack, _)| of_it(stack));
        stacks.flat_map(move |(stack, standing)| {
            let accepted = standing.differences.values().filter(move |it| it.acceptance(now).is_some());
            accepted.map(|difference| (stack.workspace.as_str(), &difference.found))
        })
    }

    /// Accepts a difference as it is.
    ///
    /// # Errors
    /// It is not there, or in several stacks.
    pub fn accept(&self, accept: Accept) -> Result<Change, Refusal> {
        let says = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let mut there = self.stacks.iter().filter_map(|(stack, standing)| {
            let meant = says(&accept.environment, stack.environment.as_deref().unwrap_or_default())
                && says(&accept.name, &stack.name)
                && says(&accept.workspace, &stack.workspace);
            standing.differences.get(&accept.address).filter(|_| meant).map(|difference| (stack, difference))
        });
        let Some((stack, difference)) = there.next() else { return Err(Refusal::NotThere(accept.address)) };
        let others: Vec<&Stack> = there.map(|(stack, _)| stack).collect();
        if !others.is_empty() {
            let names: Vec<String> = [stack].into_iter().chain(others).map(ToString::to_string).collect();
            return Err(Refusal::Ambiguous(accept.address, names.join(", ")));
        }
        Ok(Change::Differs(stack.clone(), Difference { accepted: Some(accept.acceptance), ..difference.clone() }))
    }

    /// Takes a change in that is kept.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Looks(stack, looks) => self.stacks.entry(stack.clone()).or_default().looks.clone_from(looks),
            Change::Differs(stack, difference) => {
                let standing = self.stacks.entry(stack.clone()).or_default();
                standing.differences.insert(difference.found.address.clone(), difference.clone());
            }
            Change::Gone(stack, address) => {
                if let Some(standing) = self.stacks.get_mut(stack) {
                    standing.differences.remove(address);
                }
            }
            Change::Forgotten(stack) => {
                self.stacks.remove(stack);
            }
        }
    }
}

impl std::fmt::Display for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { environment, source, name, workspace } = self;
        write!(f, "{source} {name}, workspace {workspace}")?;
        match environment {
            Some(environment) => write!(f, ", in {environment}"),
            None => Ok(()),
        }
    }
}

/// Keeps the first names of what differs.
pub fn bounded(mut found: Found) -> Found {
    let mut bytes = 0;
    let fits = found.attributes.iter().take_while(|name| {
        bytes += name.len() + 4;
        bytes <= DRIFT_ATTRIBUTES_BYTES
    });
    let fits = fits.count();
    found.more += (found.attributes.len() - fits) as u64;
    found.attributes.truncate(fits);
    found
}

/// The stack and the differences that the outputs of an action say which looks for drift. The stack is there too where it
/// failed; the differences are only where it did not.
pub fn read(source: &str, environment: Option<&str>, outputs: &IndexMap<String, Value>) -> Option<(Stack, Sight)> {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let stack = Stack {
        environment: environment.map(ToOwned::to_owned),
        source: source.to_owned(),
        name: outputs.get("stack").and_then(text)?,
        workspace: outputs.get("workspace").and_then(text)?,
    };
    let found = outputs.get("resources").and_then(Value::as_array).into_iter().flatten();
    let found = found.filter_map(|resource| {
        let attributes = resource["attributes"].as_array().into_iter().flatten().filter_map(text).collect();
        Some(Found {
            address: text(&resource["address"])?,
            action: text(&resource["action"])?,
            attributes,
            more: 0,
            mark: text(&resource["mark"]).unwrap_or_default(),
        })
    });
    let left_out = outputs.get("left_out").and_then(Value::as_u64).unwrap_or(0);
    Some((stack, Sight { found: found.collect(), left_out }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(name: &str) -> Stack {
        let (source, workspace) = ("terraform".to_owned(), "default".to_owned());
        Stack { environment: Some("prod".to_owned()), source, name: name.to_owned(), workspace }
    }

    fn seen(number: u64) -> Seen {
        let at = Timestamp(1_800_000_000_000_000) + Span::minutes(number as i64 * 60);
        Seen { run: RunUid::from_bits(number.into()), number, at }
    }

    fn found(address: &str, attributes: &[&str]) -> Found {
        let attributes = attributes.iter().map(ToString::to_string).collect();
        Found { address: address.to_owned(), action: "update".to_owned(), attributes, more: 0, mark: String::new() }
    }

    fn look(book: &mut Book, name: &str, number: u64, found: &[Found]) -> Vec<Change> {
        let look =
            Look { stack: stack(name), seen: seen(number), found: Ok(Sight { found: found.to_vec(), left_out: 0 }) };
        let changes = book.take_in(vec![look]);
        changes.iter().for_each(|change| book.apply(change));
        changes
    }

    fn accept(book: &mut Book, address: &str, name: Option<&str>) -> Result<(), Refusal> {
        let by = Principal { name: "ada".to_owned(), uid: Some(7) };
        let acceptance = Acceptance { until: seen(100).at, reason: "known".to_owned(), by, at: seen(0).at };
        let name = name.map(ToOwned::to_owned);
        let change =
            book.accept(Accept { address: address.to_owned(), environment: None, name, workspace: None, acceptance })?;
        book.apply(&change);
        Ok(())
    }

    /// Number of the first look that saw it, of that since when it is so, whether it is new and accepted now.
    fn at(book: &Book, address: &str, now: u64) -> Option<(u64, u64, bool, bool)> {
        let standing = &book.stacks[&stack("net")];
        let it = standing.differences.get(address)?;
        Some((it.first.number, it.since.number, standing.is_new(it), it.acceptance(seen(now).at).is_some()))
    }

    #[test]
    fn a_difference_is_known_from_its_first_look_on_until_a_look_misses_it() {
        let mut book = Book::default();
        look(&mut book, "net", 1, &[found("a", &["size"])]);
        assert_eq!(at(&book, "a", 1), Some((1, 1, true, false)));
        // The same again changes nothing of it, and writes little.
        let changes = look(&mut book, "net", 2, &[found("a", &["size"]), found("b", &[])]);
        assert_eq!(changes.len(), 2, "{changes:?}");
        assert_eq!(at(&book, "a", 2), Some((1, 1, false, false)));
        assert_eq!(at(&book, "b", 2), Some((2, 2, true, false)));
        look(&mut book, "net", 3, &[found("a", &["size", "tags"])]);
        assert_eq!(at(&book, "a", 3), Some((1, 3, true, false)));
        assert_eq!(at(&book, "b", 3), None);
        look(&mut book, "net", 4, &[]);
        look(&mut book, "net", 5, &[found("a", &["size"])]);
        assert_eq!(at(&book, "a", 5), Some((5, 5, true, false)));
    }

    #[test]
    fn an_acceptance_is_of_what_was_there_and_ends() {
        let mut book = Book::default();
        look(&mut book, "net", 1, &[found("a", &["size"])]);
        assert_eq!(accept(&mut book, "b", None), Err(Refusal::NotThere("b".to_owned())));
        accept(&mut book, "a", None).unwrap();
        look(&mut book, "net", 2, &[found("a", &["size"])]);
        assert_eq!(at(&book, "a", 99), Some((1, 1, false, true)));
        assert_eq!(at(&book, "a", 100), Some((1, 1, false, false)), "its time is over");
        look(&mut book, "net", 3, &[found("a", &["size", "tags"])]);
        assert_eq!(at(&book, "a", 3), Some((1, 3, true, false)), "nobody accepted that");
        look(&mut book, "dns", 3, &[found("a", &[])]);
        let Err(refusal) = accept(&mut book, "a", None) else { panic!("ambiguous") };
        assert!(refusal.to_string().contains("terraform dns, workspace default, in prod"), "{refusal}");
        accept(&mut book, "a", Some("net")).unwrap();
        assert_eq!(at(&book, "a", 4), Some((1, 3, true, true)));
    }

    #[test]
    fn a_look_that_failed_says_nothing_about_differences() {
        let mut book = Book::default();
        look(&mut book, "net", 1, &[found("a", &[])]);
        let failed = Look { stack: stack("net"), seen: seen(2), found: Err("no credentials".to_owned()) };
        for change in book.take_in(vec![failed]) {
            book.apply(&change);
        }
        assert_eq!(at(&book, "a", 2), Some((1, 1, true, false)));
        let looks = &book.stacks[&stack("net")].looks;
        assert_eq!((looks.last.unwrap().number, looks.failed.as_ref().unwrap().0.number), (1, 2));
        look(&mut book, "net", 3, &[]);
        assert_eq!(book.stacks[&stack("net")].looks.failed, None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut book = Book::default();
        let many: Vec<Found> = (0..DRIFT_DIFFERENCES + 5).map(|n| found(&format!("a[{n}]"), &[])).collect();
        look(&mut book, "net", 1, &many);
        let standing = &book.stacks[&stack("net")];
        assert_eq!((standing.differences.len(), standing.looks.left_out), (DRIFT_DIFFERENCES, 5));
        let sight = Sight { found: many[..7].to_vec(), left_out: 30 };
        for change in book.take_in(vec![Look { stack: stack("net"), seen: seen(2), found: Ok(sight) }]) {
            book.apply(&change);
        }
        assert_eq!(book.stacks[&stack("net")].looks.left_out, 30, "what the look itself left out");
        let wide = Found { attributes: vec!["x".repeat(1_000); 100], ..found("wide", &[]) };
        let wide = bounded(wide);
        assert_eq!(wide.attributes.len() as u64 + wide.more, 100);
        for n in 0..DRIFT_STACKS as u64 + 10 {
            look(&mut book, &format!("stack-{n}"), 2 + n, &[]);
        }
        assert_eq!(book.stacks.len(), DRIFT_STACKS);
        assert!(!book.stacks.contains_key(&stack("net")), "the one that was looked at longest ago");
        // After a long time one that is new makes all others go.
        look(&mut book, "late", 24 * 500, &[]);
        assert_eq!(book.stacks.len(), 1);
    }

    #[test]
    fn outputs_are_read_without_values() {
        let outputs = serde_json::from_str(
            r#"{"stack": "net", "workspace": "default", "drifted": true, "left_out": 3,
                "resources": [{"address": "a.b", "action": "update", "attributes": ["x"]}, {"address": 7}]}"#,
        );
        let outputs: IndexMap<String, Value> = outputs.unwrap();
        let (of, sight) = read("terraform", Some("prod"), &outputs).unwrap();
        assert_eq!((of, sight), (stack("net"), Sight { found: vec![self::found("a.b", &["x"])], left_out: 3 }));
        assert_eq!(read("terraform", None, &IndexMap::new()), None);
    }
}
