//! The conditions that designs are made of, kept as trees of our own beside their text: the model answers them
//! without the engine's expressions. Never knows a run.

use runbook_core::definition::Condition;
use runbook_core::id::StepNo;

/// An `if`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cond {
    Constant(bool),
    Always,
    Failure,
    /// `steps.X.status == 'word'`, or `!=`.
    Status {
        step: usize,
        equal: bool,
        word: &'static str,
    },
    /// `default(steps.X.outputs.n, 0) > than`
    Over {
        step: usize,
        than: i64,
    },
    /// `10 / default(steps.X.outputs.n, 0) > than`: an error when the output is 0 or absent.
    Ratio {
        step: usize,
        than: i64,
    },
    /// `default(steps.X.outputs.n, 0) > than`, where the step is one around the block, by its id.
    Around {
        id: String,
        than: i64,
    },
    /// `item > than`, inside a step that does its work for items.
    Item {
        than: i64,
    },
    /// `iteration.number > than`, of the iteration that it is about, or the one around.
    Iteration {
        than: i64,
    },
    /// `iteration.status == 'succeeded'`, in `until`.
    Well,
    /// `default(iteration.exit_code, 0) == code`, in `until`.
    Exited {
        code: i32,
    },
    /// `default(iteration.outputs.n, 0) > than`, in `until`.
    Left {
        than: i64,
    },
    /// `10 / default(iteration.outputs.n, 0) > than`, in `until`: an error when the output is 0 or absent.
    LeftRatio {
        than: i64,
    },
    /// `inputs.slot == 'word'`
    Slot(&'static str),
    /// `run.outcome == 'word'`, in `finally`.
    Outcome(&'static str),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

/// How the item is written that something is done for.
pub(crate) const ITEM: &str = "item";

/// How the number of the iteration is written.
pub(crate) const ITERATION: &str = "iteration.number";

/// The key of the output that conditions compare.
pub(crate) const NUMBER: &str = "n";

impl Cond {
    /// As an author writes it.
    pub(crate) fn text(&self, id: &dyn Fn(usize) -> String) -> String {
        match self {
            Self::Constant(value) => value.to_string(),
            Self::Always => "always()".to_owned(),
            Self::Failure => "failure()".to_owned(),
            Self::Status { step, equal, word } => {
                format!("steps.{}.status {} '{word}'", id(*step), if *equal { "==" } else { "!=" })
            }
            Self::Over { step, than } => format!("default(steps.{}.outputs.{NUMBER}, 0) > {than}", id(*step)),
            Self::Ratio { step, than } => {
                format!("10 / default(steps.{}.outputs.{NUMBER}, 0) > {than}", id(*step))
            }
            Self::Around { id, than } => format!("default({}, 0) > {than}", around(id)),
            Self::Item { than } => format!("{ITEM} > {than}"),
            Self::Iteration { than } => format!("{ITERATION} > {than}"),
            Self::Well => "iteration.status == 'succeeded'".to_owned(),
            Self::Exited { code } => format!("default(iteration.exit_code, 0) == {code}"),
            Self::Left { than } => format!("default(iteration.outputs.{NUMBER}, 0) > {than}"),
            Self::LeftRatio { than } => format!("10 / default(iteration.outputs.{NUMBER}, 0) > {than}"),
            Self::Slot(word) => format!("inputs.slot == '{word}'"),
            Self::Outcome(word) => format!("run.outcome == '{word}'"),
            Self::Not(inner) => format!("!({})", inner.text(id)),
            Self::And(left, right) => format!("({} && {})", left.text(id), right.text(id)),
            Self::Or(left, right) => format!("({} || {})", left.text(id), right.text(id)),
        }
    }

    fn visit(&self, see: &mut dyn FnMut(&Self)) {
        see(self);
        match self {
            Self::Not(inner) => inner.visit(see),
            Self::And(left, right) | Self::Or(left, right) => {
                left.visit(see);
                right.visit(see);
            }
            Self::Constant(_)
            | Self::Always
            | Self::Failure
            | Self::Status { .. }
            | Self::Over { .. }
            | Self::Ratio { .. }
            | Self::Around { .. }
            | Self::Item { .. }
            | Self::Iteration { .. }
            | Self::Well
            | Self::Exited { .. }
            | Self::Left { .. }
            | Self::LeftRatio { .. }
            | Self::Slot(_)
            | Self::Outcome(_) => {}
        }
    }

    /// Whether it lifts the implied success of every need.
    pub(crate) fn lifts_all(&self) -> bool {
        let mut found = false;
        self.visit(&mut |part| found |= matches!(part, Self::Always | Self::Failure));
        found
    }

    /// Whether it mentions the status of this step.
    pub(crate) fn mentions_status(&self, of: usize) -> bool {
        let mut found = false;
        self.visit(&mut |part| found |= matches!(part, Self::Status { step, .. } if *step == of));
        found
    }

    /// Whether it is asked of an iteration that failed, too.
    pub(crate) fn asks_of_any(&self) -> bool {
        let mut found = false;
        self.visit(&mut |part| found |= matches!(part, Self::Well | Self::Exited { .. }));
        found
    }

    /// Whether it asks for the output of one of these steps.
    pub(crate) fn mentions_output(&self, of: impl Fn(usize) -> bool) -> bool {
        let mut found = false;
        self.visit(&mut |part| {
            found |= matches!(part, Self::Over { step, .. } | Self::Ratio { step, .. } if of(*step));
        });
        found
    }

    /// What it mentions of what is around a block: each as it is written.
    pub(crate) fn takes(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.visit(&mut |part| match part {
            Self::Around { id, .. } => found.push(around(id)),
            Self::Item { .. } => found.push(ITEM.to_owned()),
            Self::Iteration { .. } => found.push(ITERATION.to_owned()),
            Self::Slot(_) => found.push("inputs.slot".to_owned()),
            _ => {}
        });
        found
    }

    /// As a definition holds it.
    pub(crate) fn condition(&self, needs: &[StepNo], id: &dyn Fn(usize) -> String) -> Condition {
        let mut lifts = Vec::new();
        self.visit(&mut |part| {
            if let Self::Status { step, .. } = part {
                let no = StepNo(*step as u32);
                if needs.contains(&no) && !lifts.contains(&no) {
                    lifts.push(no);
                }
            }
        });
        Condition { expression: self.text(id), any_outcome: self.lifts_all(), lifts }
    }

    /// Its answer as far as the input alone tells.
    pub(crate) fn known(&self, slot: &str) -> Option<bool> {
        match self {
            Self::Constant(value) => Some(*value),
            Self::Always => Some(true),
            Self::Slot(word) => Some(slot == *word),
            Self::Failure
            | Self::Status { .. }
            | Self::Over { .. }
            | Self::Ratio { .. }
            | Self::Around { .. }
            | Self::Item { .. }
            | Self::Iteration { .. }
            | Self::Well
            | Self::Exited { .. }
            | Self::Left { .. }
            | Self::LeftRatio { .. }
            | Self::Outcome(_) => None,
            Self::Not(inner) => inner.known(slot).map(|known| !known),
            Self::And(left, right) => match (left.known(slot), right.known(slot)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (left, right) => left.and(right),
            },
            Self::Or(left, right) => match (left.known(slot), right.known(slot)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (left, right) => left.and(right),
            },
        }
    }

    /// Its answer; `Err` where it has none. `and` and `or` ask from left to right and stop at the first answer.
    pub(crate) fn holds(&self, names: &dyn Names) -> Result<bool, ()> {
        Ok(match self {
            Self::Constant(value) => *value,
            Self::Always => true,
            Self::Failure => names.failure(),
            Self::Status { step, equal, word } => (names.status(*step) == *word) == *equal,
            Self::Over { step, than } => names.number(*step).unwrap_or(0) > *than,
            Self::Ratio { step, than } => match names.number(*step).unwrap_or(0) {
                0 => return Err(()),
                n => 10 / n > *than,
            },
            Self::Around { id, than } => names.around(id).unwrap_or(0) > *than,
            Self::Item { than } => names.item().unwrap_or(0) > *than,
            Self::Iteration { than } => names.iteration().unwrap_or(0) > *than,
            Self::Well => names.own_status() == "succeeded",
            Self::Exited { code } => names.own_exit_code().unwrap_or(0) == *code,
            Self::Left { than } => names.own_number().unwrap_or(0) > *than,
            Self::LeftRatio { than } => match names.own_number().unwrap_or(0) {
                0 => return Err(()),
                n => 10 / n > *than,
            },
            Self::Slot(word) => names.slot() == *word,
            Self::Outcome(word) => names.outcome() == *word,
            Self::Not(inner) => !inner.holds(names)?,
            Self::And(left, right) => left.holds(names)? && right.holds(names)?,
            Self::Or(left, right) => left.holds(names)? || right.holds(names)?,
        })
    }
}

/// The output [`NUMBER`] of a step, as it is written.
pub(crate) fn around(id: &str) -> String {
    format!("steps.{id}.outputs.{NUMBER}")
}

/// What conditions ask about.
pub(crate) trait Names {
    fn status(&self, step: usize) -> &'static str;
    /// The output [`NUMBER`] of a step that succeeded and gave it.
    fn number(&self, step: usize) -> Option<i64>;
    fn failure(&self) -> bool;
    /// The same of a step around the block.
    fn around(&self, id: &str) -> Option<i64>;
    /// The item that all of it is done for.
    fn item(&self) -> Option<i64>;
    /// The number of the iteration that it is about, or of the one around.
    fn iteration(&self) -> Option<i64>;
    /// What an iteration that is over left.
    fn own_status(&self) -> &'static str;
    fn own_exit_code(&self) -> Option<i32>;
    fn own_number(&self) -> Option<i64>;
    fn outcome(&self) -> &'static str;
    fn slot(&self) -> &str;
}

/// A question about an exit code: one of these, or none of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Codes {
    pub(crate) negated: bool,
    pub(crate) codes: Vec<i32>,
}

impl Codes {
    pub(crate) fn holds(&self, code: i32) -> bool {
        self.codes.contains(&code) != self.negated
    }

    pub(crate) fn text(&self) -> String {
        let list = self.codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if self.negated { format!("!(exit_code in [{list}])") } else { format!("exit_code in [{list}]") }
    }
}
