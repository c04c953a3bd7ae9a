//! Dry runs: which steps run in them, and what is told of the others. Never knows how an attempt is made.

use super::scope::RunScope;
use super::state::RunState;
use crate::definition::{Acting, Command, DryRun, Effect, Given, Items, Many, Program, Setting, Step, Wait, Work};
use crate::expression::{Expression, Reference, Template};
use crate::id::StepNo;
use crate::limits;

impl RunState {
    /// Whether nothing that changes anything runs in it.
    pub fn is_dry(&self) -> bool {
        self.created().terms.dry
    }

    /// Whether something is mentioned that is not there: what a step would have left that was skipped and stands for one
    /// that succeeded, or whose child run was dry.
    fn lacks(&self, reference: &Reference) -> bool {
        let left_nothing = |id: &str| {
            let state = self.pinned().find(id).and_then(|no| self.step(no));
            state.filter(|state| state.stands_in || state.child.is_some())
        };
        match reference {
            Reference::StepOutput(id, key) => left_nothing(id).is_some_and(|state| !state.outputs.contains_key(key)),
            Reference::StepArtifact(id, _) => left_nothing(id).is_some(),
            _ => false,
        }
    }

    /// The first thing of an expression that is not there.
    fn lacking(&self, expression: &str) -> Option<String> {
        let expression = Expression::parse(expression).ok()?;
        let lacking = expression.references().iter().find(|reference| self.lacks(&reference.value))?;
        Some(lacking.value.to_string())
    }
}

/// What is told of a step instead of asking its `if`, where that asks for something that a dry run does not have.
pub(super) fn unasked(run: &RunState, condition: &str) -> Option<String> {
    Some(format!("whether it runs depends on {}, which a dry run does not have", run.lacking(condition)?))
}

/// Whether the command of a step runs in a dry run: it changes nothing, or asks there instead and may be repeated.
const fn runs_dry(step: &Step) -> bool {
    matches!(
        (step.effect, step.dry_run),
        (Effect::Read, DryRun::Run) | (Effect::Read | Effect::Idempotent, DryRun::Ask)
    )
}

/// What is told of a step that may run; `None` where it does so in a dry run too.
pub(super) fn instead(run: &RunState, no: StepNo, step: &Step) -> Option<String> {
    let shown = |text: &str| shown(run, no, text);
    let lacking = match (&step.work, step.many.as_deref()) {
        // How often it does its work hangs on what that leaves.
        (_, Some(Many::Repeat(_))) => None,
        (Work::Runbook(_) | Work::Block(_), None) | (_, Some(Many::Each(_))) if step.dry_run != DryRun::Skip => {
            Some(lacking_below(run, step)?)
        }
        (Work::Command(command), None) if runs_dry(step) => {
            Some(command.templates().find_map(|text| lacking(run, text))?)
        }
        // What fails by itself fails here too.
        (Work::Fail(_), None) => return None,
        _ => None,
    };
    let mut told = match &step.work {
        Work::Command(command) => {
            let command = command_line(command, shown);
            match &step.target {
                Some(target) if lacking.is_none() => format!("would destroy {} by `{command}`", shown(target)),
                Some(_) | None => format!("would run `{command}`"),
            }
        }
        Work::Runbook(call) => format!("would start {}", call.runbook),
        Work::Block(block) => {
            let ids: Vec<&str> = block.steps.iter().map(|step| step.id.as_str()).collect();
            format!("would run {}", ids.join(", "))
        }
        Work::Fail(message) => format!("would fail: {}", shown(message)),
        Work::Approval(approval) => match approval.roles.is_empty() {
            true => format!("would ask: {}", shown(&approval.message)),
            false => format!("would ask {}: {}", approval.roles.join(" or "), shown(&approval.message)),
        },
        Work::Wait(wait) => match &**wait {
            Wait::For(length) => format!("would wait {length}"),
            Wait::Until(time) => format!("would wait until {}", shown(time)),
            Wait::Probe(probe) => {
                let command = command_line(&probe.command, shown);
                format!("would probe with `{command}` every {}, for {} at most", probe.every, probe.within)
            }
        },
    };
    if let Some(many) = &step.many {
        told += &format!(", {many}");
    }
    if let Some(lacking) = lacking {
        told += &format!(" with {lacking}, which a dry run does not have");
    }
    Some(limits::fit(told))
}

/// The first thing that is not there of what the child run of a step is given.
fn lacking_below(run: &RunState, step: &Step) -> Option<String> {
    let of_list = step.each().and_then(|each| match &each.list {
        Items::Expression(list) => run.lacking(list),
        Items::Known(_) => None,
    });
    let mut takes = match (step.many.as_deref(), step.block()) {
        (Some(many), _) => Some(many.takes()),
        (None, Some(block)) => Some(&block.takes),
        (None, None) => None,
    }
    .into_iter()
    .flatten();
    let given = || step.call().filter(|_| step.many.is_none()).into_iter().flat_map(|call| call.inputs.values());
    let template = |given: &Given| match given {
        Given::Template(text) => lacking(run, text),
        Given::Value(_) => None,
    };
    of_list.or_else(|| takes.find_map(|text| run.lacking(text))).or_else(|| given().find_map(template))
}

/// The first thing that a text wants of a step that did not run.
fn lacking(run: &RunState, text: &str) -> Option<String> {
    let template = Template::parse(text).ok()?;
    template.references().find(|reference| run.lacks(&reference.value)).map(|reference| reference.value.to_string())
}

/// A text as it would be; as it is written where that is not known, or would tell a secret.
fn shown(run: &RunState, no: StepNo, text: &str) -> String {
    let scope = RunScope { run, step: Some(no), exit_code: None, written: None };
    let rendered = Template::parse(text).ok().and_then(|template| template.render_text(&scope).ok());
    rendered.filter(|_| lacking(run, text).is_none()).unwrap_or_else(|| text.to_owned())
}

/// A command of a step in one line, with what is known of it before.
pub(super) fn told(run: &RunState, no: StepNo, command: &Command) -> String {
    limits::fit(command_line(command, |text| shown(run, no, text)))
}

/// A command in one line.
fn command_line(command: &Command, shown: impl Fn(&str) -> String) -> String {
    match &command.program {
        Program::Action(acting) => action_line(acting, shown),
        Program::Argv(words) => words.iter().map(|word| shown(word)).collect::<Vec<_>>().join(" "),
        Program::Script { text, .. } => {
            let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let first = lines.next().unwrap_or_default();
            let more = if lines.next().is_some() { " …" } else { "" };
            format!("{first}{more}")
        }
    }
}

/// An action in one line: its name, and the texts and words that it is told.
fn action_line(acting: &Acting, shown: impl Fn(&str) -> String) -> String {
    let told = acting.with.iter().filter_map(|(key, setting)| match setting {
        Setting::Template(text) => Some(format!("{key}: {}", shown(text))),
        Setting::Value(value) => {
            Some(format!("{key}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        }
        Setting::List(_) | Setting::Map(_) | Setting::Condition(_) => None,
    });
    std::iter::once(acting.name.clone()).chain(told).collect::<Vec<_>>().join(" ")
}
