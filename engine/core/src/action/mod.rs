//! What `uses` can name besides what the engine does itself: each action described once. The check of `with`, the JSON
//! Schema, the page of actions, `runbookd actions` and what a step has by default all come from here. Never knows how an
//! action is carried out.

mod git;
mod http;
mod notify;
mod terraform;
mod words;

use crate::definition::{DryRun, Effect, Stop, ValueType};
use crate::language::schema::{self, Section};
use crate::time::Span;

pub use words::Takes;

/// The exit code of an attempt whose action did what it was to do.
pub const DONE: i32 = 0;
/// The exit code of an attempt whose action failed, and would fail again.
pub const FAILED: i32 = 1;
/// The exit code of an attempt that changed nothing and may succeed later (`EX_TEMPFAIL` of sysexits(3)).
pub const LATER: i32 = 75;
/// The exit code of an attempt of which nobody knows what it did (`EX_PROTOCOL` of sysexits(3)).
pub const NOBODY_KNOWS: i32 = 76;

/// When an attempt of an action is tried again unless the step says otherwise: [`LATER`], as it is written in `retry.if`.
pub const RETRY_IF: &str = "exit_code == 75";
/// Which ends of an action's attempts are as good as lost: [`NOBODY_KNOWS`], as it is written in `unknown_if`.
pub const UNKNOWN_IF: &str = "exit_code == 76";

/// The keys of a command that are about a program of the author's and what it leaves.
const OF_PROGRAMS: [&str; 13] = [
    "run",
    "argv",
    "shell",
    "stdin",
    "env",
    "env_file",
    "pass_env",
    "working_dir",
    "files",
    "stop",
    "tools",
    "outputs",
    "artifacts",
];

/// Every action, in the order of the page.
pub static ACTIONS: &[&Action] = &[
    &http::HTTP,
    &notify::SLACK,
    &notify::WEBHOOK,
    &notify::EMAIL,
    &git::CHECKOUT,
    &terraform::INIT,
    &terraform::VALIDATE,
    &terraform::FMT,
    &terraform::PLAN,
    &terraform::APPLY,
    &terraform::OUTPUT,
    &terraform::DRIFT,
    &terraform::DESTROY,
];

/// An action.
#[derive(Debug)]
pub struct Action {
    /// As `uses` names it.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub doc: &'static str,
    /// The keys of `with`.
    pub keys: &'static [Key],
    /// The same for whoever reads maps with fixed keys.
    pub with: &'static Section,
    /// The key of `with` whose word decides which outputs and artifacts there are, and the word that it has when it is
    /// not given.
    pub decides: Option<(&'static str, &'static str)>,
    /// What it leaves for other steps.
    pub outputs: &'static [Output],
    /// The files that it leaves.
    pub artifacts: &'static [Artifact],
    /// What a second try could do, unless the step says otherwise.
    pub effect: Effects,
    /// What it is in a dry run.
    pub dry_run: DryRun,
    /// What it is carried out by.
    pub carried: Carried,
    /// How it is stopped.
    pub stop: Stop,
    /// How long one attempt may take, unless the step says otherwise.
    pub timeout: Option<Span>,
    /// How often it is tried in all, unless the step says otherwise.
    pub attempts: u32,
    /// Whether its failure leaves the run as if it had not failed, unless the step says otherwise.
    pub allow_failure: bool,
    /// The program that carries it out, and the key of `with` that names another one.
    pub program: Option<(&'static str, Option<&'static str>)>,
    /// What the folder that its key `dir` names has to be, or is made.
    pub initialised: Initialised,
    /// The keys of `with` whose values name what only one step at a time may change: it has a lock of that name, beside those that
    /// the step names. None where it changes nothing of that kind.
    pub alone: &'static [&'static str],
    /// The keys of `with` that name files and folders which have to be there.
    pub reads: &'static [&'static str],
    /// Where it looks for drift: the source by whose name what its outputs say is kept ([`crate::drift`]).
    pub drift: Option<&'static str>,
    /// The keys of a command that mean something beside it.
    pub beside: &'static [&'static str],
    /// What is to be known of it.
    pub facts: Facts,
    /// A step that uses it, as it is written.
    pub example: &'static str,
}

/// What is to be known of an action, in sentences. Nothing of it can be left open.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Which ends are tried again by themselves.
    pub again: &'static str,
    /// Which ends never are.
    pub never: &'static str,
    /// When nobody knows what an attempt did, and how that is found out.
    pub unknown: &'static str,
    /// What a cancel does to the world outside.
    pub cancel: &'static str,
    /// What it does in a dry run.
    pub dry: &'static str,
    /// What is bounded.
    pub limits: &'static str,
    /// Where secrets may go, and what hides them.
    pub secrets: &'static str,
    /// What else there is, each with a head.
    pub more: &'static [(&'static str, &'static str)],
}

impl Facts {
    /// All of them, each with its head.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let asked = [
            ("Tried again", self.again),
            ("Never tried again", self.never),
            ("Nobody knows", self.unknown),
            ("A cancel", self.cancel),
            ("A dry run", self.dry),
            ("Limits", self.limits),
            ("Secrets", self.secrets),
        ];
        asked.into_iter().chain(self.more.iter().copied())
    }
}

impl PartialEq for Action {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Action {}

/// A key of `with`.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As whoever reads maps with fixed keys wants it.
    pub key: schema::Key,
    /// What it takes.
    pub takes: Takes,
}

/// What an action leaves for other steps.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub value_type: ValueType,
    /// The words of the deciding key with which it is there; always when empty.
    pub when: &'static [&'static str],
    /// What it is.
    pub doc: &'static str,
}

/// A file that an action leaves.
#[derive(Debug, Clone, Copy)]
pub struct Artifact {
    /// Its name.
    pub name: &'static str,
    /// The words of the deciding key with which it is there; always when empty.
    pub when: &'static [&'static str],
    /// What it is.
    pub doc: &'static str,
}

/// What a second try of an action could do.
#[derive(Debug, Clone, Copy)]
pub enum Effects {
    /// Always the same.
    Fixed(Effect),
    /// By the word of a key of `with`; the first one where the key is not given.
    By(&'static str, &'static [(&'static str, Effect)]),
}

/// What an action has to do with a stack being initialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initialised {
    /// Nothing.
    Whatever,
    /// It initialises one.
    Makes,
    /// It works on one that is.
    Wants,
}

/// What carries an action out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// The daemon, without a process. It ends with the daemon.
    Inside,
    /// A process under a shim. It outlives the daemon.
    Process,
}

impl Action {
    /// The key of a name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.key.name == name)
    }

    /// The deciding word, by what `with` says.
    pub fn word(&self, given: Option<&str>) -> &'static str {
        let Some((name, otherwise)) = self.decides else { return "" };
        let words = match self.key(name).map(|key| key.takes) {
            Some(Takes::Word(words, _)) => words,
            _ => &[],
        };
        given.and_then(|given| words.iter().find(|word| **word == given)).copied().unwrap_or(otherwise)
    }

    /// The keys of a command that mean nothing beside it.
    pub fn strangers(&self) -> impl Iterator<Item = &'static str> {
        OF_PROGRAMS.into_iter().filter(|key| !self.beside.contains(key))
    }

    /// What it leaves with this deciding word.
    pub fn outputs(&self, word: &str) -> impl Iterator<Item = &'static Output> {
        self.outputs.iter().filter(move |output| output.when.is_empty() || output.when.contains(&word))
    }

    /// The files that it leaves with this deciding word.
    pub fn artifacts(&self, word: &str) -> impl Iterator<Item = &'static Artifact> {
        self.artifacts.iter().filter(move |artifact| artifact.when.is_empty() || artifact.when.contains(&word))
    }

    /// The weakest effect that a step may say of it: a dry run does what only reads, and nobody is asked about what destroys
    /// nothing.
    pub fn weakest(&self, own: Effect) -> Effect {
        match (own, self.effect) {
            (Effect::Read, _) => Effect::Read,
            // A question may be too long for an address.
            (Effect::Mutating, Effects::By(..)) => Effect::Read,
            (Effect::Idempotent | Effect::Mutating, _) => Effect::Idempotent,
            (Effect::Destructive, _) => Effect::Destructive,
        }
    }

    /// What a second try could do, in words.
    pub fn effect_in_words(&self) -> String {
        let (key, words) = match self.effect {
            Effects::Fixed(effect) => return effect.name().to_owned(),
            Effects::By(key, words) => (key, words),
        };
        let of = |effect: Effect| {
            let words: Vec<&str> = words.iter().filter(|(_, it)| *it == effect).map(|(word, _)| *word).collect();
            (!words.is_empty()).then(|| format!("{} with {}", effect.name(), words.join(", ")))
        };
        let told: Vec<String> = Effect::ALL.into_iter().filter_map(of).collect();
        format!("by `{key}`: {}", told.join("; "))
    }

    /// How it is stopped, in words.
    pub fn stop_in_words(&self) -> String {
        let Stop { signal, to, grace } = self.stop;
        match self.carried {
            Carried::Inside => "at once, without a signal".to_owned(),
            Carried::Process => format!("`{{signal: {}, to: {}, grace: {grace}}}`", signal.name(), to.name()),
        }
    }

    /// What a second try could do, by the words that `with` gives.
    pub fn effect(&self, given: impl Fn(&str) -> Option<String>) -> Effect {
        match self.effect {
            Effects::Fixed(effect) => effect,
            Effects::By(key, words) => {
                let word = given(key);
                let found = words.iter().find(|(name, _)| Some(*name) == word.as_deref());
                found.or(words.first()).map_or(Effect::Mutating, |(_, effect)| *effect)
            }
        }
    }
}

/// The programs that actions run and that a step may name otherwise, each once: for all steps the configuration may.
pub fn programs() -> Vec<&'static str> {
    let named = ACTIONS.iter().filter_map(|action| action.program).filter(|(_, key)| key.is_some());
    let mut programs: Vec<&str> = named.map(|(usual, _)| usual).collect();
    programs.dedup();
    programs
}

/// The action of a name.
pub fn find(name: &str) -> Option<&'static Action> {
    ACTIONS.iter().copied().find(|action| action.name == name)
}

/// A key that may be left out.
const fn key(name: &'static str, takes: Takes, default: &'static str, doc: &'static str) -> Key {
    Key { key: schema::Key { name, takes: takes.words(), default, required: false, doc }, takes }
}

/// A key that has to be given.
const fn required(name: &'static str, takes: Takes, doc: &'static str) -> Key {
    Key { key: schema::Key { name, takes: takes.words(), default: "", required: true, doc }, takes }
}

/// The keys of `with` as a section has them.
const fn section<const N: usize>(keys: &[Key; N]) -> [schema::Key; N] {
    let mut all = [keys[0].key; N];
    let mut index = 1;
    while index < N {
        all[index] = keys[index].key;
        index += 1;
    }
    all
}

const fn output(name: &'static str, value_type: ValueType, doc: &'static str) -> Output {
    Output { name, value_type, when: &[], doc }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::is_id;

    #[test]
    fn every_action_says_of_itself_what_it_is_asked() {
        for action in ACTIONS {
            let name = action.name;
            assert!(name.split('/').all(is_id), "{name}");
            assert_eq!(action.with.all().count(), action.keys.len(), "{name}");
            assert_eq!(action.with.name, format!("`with` of `uses: {name}`"));
            assert!(action.example.contains(&format!("uses: {name}")), "{name}: its example uses it");
            for (head, fact) in action.facts.all() {
                assert!(fact.len() > 5 && fact.ends_with('.'), "{name}: {head}: {fact:?}");
            }
            for output in action.outputs {
                assert!(is_id(output.name), "{name}: {}", output.name);
            }
            let words: &[&str] = match action.decides.and_then(|(key, _)| action.key(key)).map(|key| key.takes) {
                Some(Takes::Word(words, _)) => words,
                _ => &[],
            };
            let whens = action.outputs.iter().map(|it| it.when).chain(action.artifacts.iter().map(|it| it.when));
            assert!(whens.flatten().all(|word| words.contains(word)), "{name}: a word that decides nothing");
            assert!(action.alone.iter().all(|key| action.key(key).is_some()), "{name}: a key that names nothing");
            if let Effects::By(key, effects) = action.effect {
                let Some(Takes::Word(words, _)) = action.key(key).map(|key| key.takes) else { panic!("{name}: {key}") };
                assert_eq!(words.to_vec(), effects.iter().map(|(word, _)| *word).collect::<Vec<_>>(), "{name}");
            }
        }
    }

    #[test]
    fn the_codes_are_those_of_the_conditions() {
        assert_eq!(RETRY_IF, format!("exit_code == {LATER}"));
        assert_eq!(UNKNOWN_IF, format!("exit_code == {NOBODY_KNOWS}"));
    }
}
