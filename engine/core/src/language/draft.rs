//! What the reading of a file leaves for the checks across it: the definition so far, where its steps stand, and
//! every text that holds an expression.

use std::ops::Range;

use super::inputs::Places;
use super::item::Item;
use crate::definition::{Runbook, ValueType};

/// A runbook that is read and not yet checked as a whole.
pub(super) struct Draft<'t> {
    /// The definition. The `needs` and conditions of its steps are empty yet.
    pub runbook: Runbook,
    /// Where its name stands.
    pub name: Range<usize>,
    /// Where each file stands that it lists.
    pub files: Vec<Range<usize>>,
    /// One for each step of the definition.
    pub steps: Vec<StepDraft<'t>>,
    /// Every text that holds an expression, or may.
    pub places: Vec<Place<'t>>,
    /// Where each input is declared, in the order of the definition.
    pub inputs: Places,
    /// The runbooks that steps start, and where that stands; those of blocks are with these.
    pub calls: Calls,
    /// What stands inside its steps.
    pub inner: Vec<Inner<'t>>,
}

/// What stands inside a step.
pub(super) struct Inner<'t> {
    /// The step, by index.
    pub step: usize,
    /// The steps inside. Empty are all but these, their outputs and what is said of them.
    pub draft: Draft<'t>,
}

/// Names of runbooks, and where each stands.
pub(super) type Calls = Vec<(String, Range<usize>)>;

/// What is to be known of a step besides its definition.
pub(super) struct StepDraft<'t> {
    /// Its id.
    pub id: Range<usize>,
    /// Its `needs`, as written.
    pub needs: Vec<Item<'t>>,
    /// Its `undoes`, as written.
    pub undoes: Vec<Item<'t>>,
    /// Its `when_skipped`, if it has one.
    pub when_skipped: Option<Range<usize>>,
}

/// Where a text with an expression stands, and so what it may mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Something that is settled before the first step: `locks`, `concurrency`, `env`, `defaults`.
    Start,
    /// A step, by index.
    Step(usize),
    /// `verify` or `on_cancel` of a step, by index.
    Cleanup(usize),
    /// `outputs` of the runbook, when its main steps have ended.
    Outputs,
}

impl Owner {
    /// The step.
    pub fn step(self) -> Option<usize> {
        match self {
            Self::Start | Self::Outputs => None,
            Self::Step(index) | Self::Cleanup(index) => Some(index),
        }
    }
}

/// What the text is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// `if`: an expression; decides about the step.
    Condition,
    /// `success`, `unknown_if`, `retry.if`: an expression over `exit_code`.
    Outcome,
    /// `until` and `fail_if` of a probe: an expression over `exit_code`, `attempt.outputs` and what `if` may mention.
    Probe,
    /// Text that is seen by the program alone: secrets may go there.
    Hidden,
    /// The text of `env` at the top, which `${{ env.NAME }}` stands for; secrets may go there.
    Variable,
    /// Text that is stored and shown.
    Shown,
    /// What an input of another runbook of this type is given, which may be null where the flag says so: stored and
    /// shown.
    Given(ValueType, bool),
    /// Inside of a value that an action is given: of any type, null too; secrets may go there.
    Member,
    /// An expression over what an attempt of this action found, with this deciding word; stored and shown.
    Answer {
        /// Its name.
        action: &'static str,
        /// The word that decides which outputs it has.
        word: &'static str,
    },
    /// `for_each`: an expression that gives a list; stored and shown.
    Items,
    /// `repeat.until`: an expression over the iteration that is over, and what `if` may mention; stored and shown.
    Until,
    /// An output of the runbook of this type: an expression; stored and shown.
    Output(ValueType),
}

impl Use {
    /// Whether the text is one expression rather than a text with expressions.
    pub const fn is_expression(self) -> bool {
        match self {
            Self::Condition
            | Self::Outcome
            | Self::Probe
            | Self::Answer { .. }
            | Self::Items
            | Self::Until
            | Self::Output(_) => true,
            Self::Hidden | Self::Member | Self::Variable | Self::Shown | Self::Given(..) => false,
        }
    }
}

/// A text with an expression.
#[derive(Clone, Copy)]
pub(super) struct Place<'t> {
    /// The text.
    pub item: Item<'t>,
    /// The key that it is the value of.
    pub key: &'t str,
    /// Where it stands.
    pub owner: Owner,
    /// What it is used for.
    pub usage: Use,
}
