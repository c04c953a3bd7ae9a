//! A runbook together with what the model needs to know of it without the engine: its conditions as trees, its
//! names of locks and group, its questions about exit codes; and its text in the language.

use std::collections::BTreeSet;
use std::sync::Arc;

use runbook_core::definition::{
    self, Approval, Call, Command, DryRun, Effect, Given, InputDecl, Jitter, OnFailure, OnTimeout, Overlap, Part,
    Program, RollbackOf, RollbackPolicy, Runbook, Settlement, Step, ValueType, Wait, WhenSkipped, Work,
};
use runbook_core::id::Digest;
use runbook_core::run::AttemptKind;
use runbook_core::time::Span;

use super::condition::{Codes, Cond, ITEM, ITERATION, around};

/// The input that names of locks and groups may depend on.
pub(crate) const SLOT: &str = "slot";

/// The inputs whose values are kept nowhere, where a runbook has them.
pub(crate) const VALUES: [&str; 2] = ["key", "pin"];

/// The environments that runs are started in.
pub(crate) const ENVIRONMENTS: [&str; 3] = ["prod", "dev", "gated"];

/// What it can be.
pub(crate) const SLOTS: &str = "[ab]";

/// The name of a lock or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) text: String,
    /// Whether the input [`SLOT`] is part of it.
    pub(crate) by_slot: bool,
}

impl Name {
    pub(crate) fn template(&self) -> String {
        if self.by_slot { format!("{}/${{{{ inputs.{SLOT} }}}}", self.text) } else { self.text.clone() }
    }

    /// As it is in an environment.
    pub(crate) fn rendered(&self, slot: &str, environment: Option<&str>) -> String {
        let name = if self.by_slot { format!("{}/{slot}", self.text) } else { self.text.clone() };
        environment.map_or_else(|| name.clone(), |environment| format!("{environment}:{name}"))
    }
}

/// The questions that a step puts to exit codes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StepCodes {
    pub(crate) success: Option<Codes>,
    pub(crate) unknown_if: Option<Codes>,
    pub(crate) retry_if: Option<Codes>,
    /// Of a probe.
    pub(crate) until: Option<Codes>,
    pub(crate) fail_if: Option<Codes>,
}

/// The roles that approvals of designs name.
pub(crate) const ROLES: [&str; 2] = ["dba", "sre"];
/// The field that approvals of designs may have.
pub(crate) const FIELD: &str = "note";

/// A runbook and what the model knows of it.
#[derive(Debug, Clone)]
pub(crate) struct Design {
    pub(crate) runbook: Runbook,
    pub(crate) digest: Digest,
    pub(crate) conditions: Vec<Option<Cond>>,
    pub(crate) codes: Vec<StepCodes>,
    pub(crate) locks: Vec<Name>,
    /// Of each step.
    pub(crate) step_locks: Vec<Vec<Name>>,
    pub(crate) group: Option<Name>,
    /// Of each step, which runbook it starts.
    pub(crate) calls: Vec<Option<CallDesign>>,
    /// Of each step, what stands inside it.
    pub(crate) blocks: Vec<Option<Arc<Self>>>,
    /// Of each step that does its work many times, the design of one of these.
    pub(crate) one: Vec<Option<Arc<Self>>>,
    /// Of each step, for which items it does its work.
    pub(crate) lists: Vec<Option<Items>>,
    /// What its steps stand for, where that is items.
    pub(crate) items: Option<ItemsDesign>,
    /// The same, where that is iterations.
    pub(crate) repeat: Option<RepeatDesign>,
    /// The runbook's output [`NUMBER`]: the step whose output it is, and what stands for it where that has none.
    pub(crate) output: Option<(usize, Option<i64>)>,
    /// The runbooks that its steps start.
    pub(crate) called: Vec<Arc<Self>>,
}

/// What a step that starts another runbook gives for [`SLOT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotGiven {
    /// What the run itself was given.
    Same,
    Fixed(&'static str),
    /// Something that no runbook takes.
    Refused,
}

/// A step that starts another runbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallDesign {
    pub(crate) runbook: String,
    pub(crate) slot: SlotGiven,
}

impl CallDesign {
    /// What the child run gets; `None` where it would be refused.
    pub(crate) fn given(&self, own: &str) -> Option<String> {
        match self.slot {
            SlotGiven::Same => Some(own.to_owned()),
            SlotGiven::Fixed(slot) => Some(slot.to_owned()),
            SlotGiven::Refused => None,
        }
    }

    pub(crate) fn call(&self) -> Call {
        let given = match self.slot {
            SlotGiven::Same => Given::Template(format!("${{{{ inputs.{SLOT} }}}}")),
            SlotGiven::Fixed(slot) => Given::Value(slot.into()),
            SlotGiven::Refused => Given::Template(format!("${{{{ inputs.{SLOT} }}}}x")),
        };
        Call { runbook: self.runbook.clone(), inputs: [(SLOT.to_owned(), given)].into_iter().collect() }
    }
}

/// A list of items, in a way that the model works out by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Items {
    Known(Vec<i64>),
    /// Of the numbers from 1 to 4 those that are at most the output [`NUMBER`] of this step.
    UpTo(usize),
    /// The same; but where that is 2, it is no list.
    UpToOrNone(usize),
}

impl Items {
    /// As an expression, where it is one.
    pub(crate) fn text(&self, id: impl Fn(usize) -> String) -> Option<String> {
        let number = |step: usize| format!("default({}, 0)", around(&id(step)));
        match self {
            Self::Known(_) => None,
            Self::UpTo(step) => Some(format!("[1, 2, 3, 4].filter(x, x <= {})", number(*step))),
            Self::UpToOrNone(step) => Some(format!("{0} == 2 ? 7 : [1, 2, 3, 4].filter(x, x <= {0})", number(*step))),
        }
    }

    /// The step whose number it asks for.
    pub(crate) const fn asks(&self) -> Option<usize> {
        match self {
            Self::Known(_) => None,
            Self::UpTo(step) | Self::UpToOrNone(step) => Some(*step),
        }
    }

    /// The items, by what the step gave; `None` where it is no list.
    pub(crate) fn items(&self, number: impl Fn(usize) -> Option<i64>) -> Option<Vec<i64>> {
        let up_to = |step: usize| (1..=4).filter(|x| *x <= number(step).unwrap_or(0)).collect();
        match self {
            Self::Known(items) => Some(items.clone()),
            Self::UpToOrNone(step) if number(*step) == Some(2) => None,
            Self::UpTo(step) | Self::UpToOrNone(step) => Some(up_to(*step)),
        }
    }
}

/// What holds for steps that stand for items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ItemsDesign {
    pub(crate) max_parallel: Option<u32>,
    pub(crate) max_failures: u32,
    pub(crate) outputs: Vec<String>,
}

/// What holds for steps that stand for iterations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepeatDesign {
    pub(crate) until: Cond,
    pub(crate) max: u32,
    pub(crate) every: Option<Span>,
}

impl RepeatDesign {
    /// What the steps are called.
    pub(crate) fn ids(&self) -> Vec<String> {
        (1..=self.max).map(|number| format!("[{number}]")).collect()
    }

    /// `until`, as an author writes it.
    pub(crate) fn text(&self) -> String {
        self.until.text(&|_| String::new())
    }
}

/// What a step starts.
pub(crate) enum Started<'a> {
    Runbook(&'a CallDesign),
    Block,
    Items(&'a Items),
    Iterations(&'a RepeatDesign),
}

impl Design {
    /// What a step starts, and the design of that.
    pub(crate) fn callee(&self, step: usize) -> Option<(Started<'_>, &Arc<Self>)> {
        if let Some(items) = self.lists.get(step)? {
            return Some((Started::Items(items), self.one.get(step)?.as_ref()?));
        }
        if let Some(repeat) = self.repeat_of(step) {
            return Some((Started::Iterations(repeat), self.one.get(step)?.as_ref()?));
        }
        if let Some(block) = self.blocks.get(step)? {
            return Some((Started::Block, block));
        }
        let call = self.calls.get(step)?.as_ref()?;
        let other = self.called.iter().find(|design| design.runbook.name == call.runbook)?;
        Some((Started::Runbook(call), other))
    }

    /// The design of so many steps, each as the only one of this.
    pub(crate) fn for_items(&self, ids: Vec<String>) -> Self {
        let many = |count: usize| std::iter::repeat_n(0, count);
        let count = ids.len();
        let mut design = self.clone();
        let Some(step) = self.runbook.steps.first() else { return design };
        design.runbook.steps = ids.into_iter().map(|id| Step { id, ..step.clone() }).collect();
        design.conditions = vec![None; count];
        design.codes = many(count).map(|no| self.codes[no].clone()).collect();
        design.calls = many(count).map(|no| self.calls[no].clone()).collect();
        design.blocks = many(count).map(|no| self.blocks[no].clone()).collect();
        design.lists = vec![None; count];
        design.one = vec![None; count];
        design.step_locks = vec![Vec::new(); count];
        design
    }

    /// Lets a step ask for this, too.
    pub(crate) fn ask(&mut self, step: usize, asks: Cond) {
        let condition = match self.conditions[step].take() {
            Some(condition) => Cond::And(Box::new(condition), Box::new(asks)),
            None => asks,
        };
        let ids: Vec<String> = self.runbook.steps.iter().map(|step| step.id.clone()).collect();
        let changed = &mut self.runbook.steps[step];
        changed.condition = Some(condition.condition(&changed.needs, &|no| ids[no].clone()));
        self.conditions[step] = Some(condition);
    }

    /// A step of it starts this runbook.
    pub(crate) fn know(&mut self, other: &Arc<Self>) {
        if !self.called.iter().any(|known| known.runbook.name == other.runbook.name) {
            self.called.push(Arc::clone(other));
        }
    }

    /// What its steps mention of what is around it, where it is a block: each as it is written.
    pub(crate) fn takes(&self) -> BTreeSet<String> {
        let conditions = self.conditions.iter().flatten().flat_map(Cond::takes);
        let same = |call: &CallDesign| !matches!(call.slot, SlotGiven::Fixed(_));
        let given = self.calls.iter().flatten().filter(|call| same(call)).map(|_| format!("inputs.{SLOT}"));
        let own = |text: &String| self.runbook.steps.iter().any(|step| *text == around(&step.id));
        let mut inside = BTreeSet::new();
        for no in 0..self.runbook.steps.len() {
            let (list, repeat) = (self.lists[no].is_some(), self.repeat_of(no));
            let asked = repeat.into_iter().flat_map(|repeat| repeat.until.takes());
            // What is done for an item has an item of its own, and an iteration its own number.
            let is_own = |text: &String| own(text) || (list && text == ITEM) || (repeat.is_some() && text == ITERATION);
            let taken = self.blocks[no].iter().flat_map(|block| block.takes()).chain(asked);
            inside.extend(taken.filter(|text| !is_own(text)));
        }
        conditions.chain(given).chain(inside).collect()
    }

    /// Whether a step starts another runbook.
    pub(crate) fn has_no_return(&self) -> bool {
        let own = self.runbook.steps.iter().any(|step| step.no_return);
        own || self.blocks.iter().flatten().any(|block| block.has_no_return())
            || self.called.iter().any(|other| other.has_no_return())
    }

    pub(crate) fn asks(&self) -> bool {
        self.runbook.steps.iter().any(|step| step.approval().is_some())
            || self.blocks.iter().flatten().any(|block| block.asks())
            || self.called.iter().any(|other| other.asks())
    }

    pub(crate) fn is_call(&self, step: usize) -> bool {
        self.callee(step).is_some()
    }

    /// How a step does its work again and again.
    pub(crate) fn repeat_of(&self, step: usize) -> Option<&RepeatDesign> {
        self.one.get(step)?.as_ref()?.repeat.as_ref()
    }

    pub(crate) fn step_has_items(&self, step: usize) -> bool {
        self.lists.get(step).is_some_and(Option::is_some)
    }

    pub(crate) fn step_is_block(&self, step: usize) -> bool {
        self.blocks.get(step).is_some_and(Option::is_some)
    }

    /// The inputs whose values are kept nowhere and that an attempt of a step is told.
    pub(crate) fn values_of(&self, step: usize, kind: AttemptKind) -> BTreeSet<String> {
        let Some(step) = self.runbook.steps.get(step) else { return BTreeSet::new() };
        let own = match kind {
            AttemptKind::Run => step.command(),
            AttemptKind::Verify => step.verify.as_ref(),
            AttemptKind::OnCancel => step.on_cancel.as_ref(),
            AttemptKind::Rollback => step.rollback.as_ref(),
        };
        let told: Vec<&String> = own.into_iter().flat_map(|command| command.env.values()).collect();
        let mentions = |name: &&str| told.iter().any(|text| text.contains(&format!("inputs.{name},")));
        VALUES.iter().filter(|name| mentions(name)).map(|name| (*name).to_owned()).collect()
    }

    /// Whether a step is of `steps`, not of `finally`.
    pub(crate) fn is_main(&self, step: usize) -> bool {
        self.runbook.steps.get(step).is_some_and(|step| step.part == Part::Main)
    }

    /// The needs of a step.
    pub(crate) fn needs(&self, step: usize) -> impl Iterator<Item = usize> {
        self.runbook.steps.get(step).into_iter().flat_map(|step| step.needs.iter().map(|need| need.index()))
    }

    /// The main steps that a step of `finally` undoes.
    pub(crate) fn undoes(&self, step: usize) -> impl Iterator<Item = usize> {
        self.runbook.steps.get(step).into_iter().flat_map(|step| step.undoes.iter().map(|undone| undone.index()))
    }

    /// The rendered locks, sorted, each once.
    pub(crate) fn locks_of(&self, slot: &str, environment: Option<&str>) -> Vec<String> {
        let mut locks: Vec<String> = self.locks.iter().map(|name| name.rendered(slot, environment)).collect();
        locks.sort_unstable();
        locks.dedup();
        locks
    }

    /// The runbook in the language.
    pub(crate) fn yaml(&self) -> String {
        let runbook = &self.runbook;
        let mut text = format!("name: {}\nlanguage: 1\n", runbook.name);
        let values = VALUES.iter().filter(|name| runbook.inputs.contains_key(**name));
        let values: String =
            values.map(|name| format!(", {name}: {{type: string, secret: true, ephemeral: true}}")).collect();
        text += &format!("inputs: {{{SLOT}: {{type: string, default: a, pattern: {SLOTS:?}}}{values}}}\n");
        text += &self.outputs_yaml();
        if let Some(timeout) = runbook.timeout {
            text += &format!("timeout: {}\n", span(timeout));
        }
        if let Some(max) = runbook.max_parallel {
            text += &format!("max_parallel: {max}\n");
        }
        if let Some(priority) = runbook.priority {
            text += &format!("priority: {}\n", priority.name());
        }
        text += match runbook.on_failure {
            OnFailure::Stop => "",
            OnFailure::Continue => "on_failure: continue\n",
            OnFailure::Cancel => "on_failure: cancel\n",
        };
        let policy = match runbook.rollback.policy {
            RollbackPolicy::Manual => "manual",
            RollbackPolicy::Automatic => "automatic",
            RollbackPolicy::Never => "never",
        };
        text += &match runbook.rollback.of {
            RollbackOf::Succeeded => format!("rollback: {policy}\n"),
            RollbackOf::Started => format!("rollback: {{policy: {policy}, of: started}}\n"),
        };
        if !runbook.locks.is_empty() {
            text += "locks:\n";
            text += &runbook.locks.iter().map(|lock| format!("  - {lock}\n")).collect::<String>();
        }
        if let Some(concurrency) = &runbook.concurrency {
            let overlap = match concurrency.overlap {
                Overlap::Queue => "queue",
                Overlap::Skip => "skip",
                Overlap::Replace => "replace",
            };
            text += &format!("concurrency: {{group: \"{}\", overlap: {overlap}}}\n", concurrency.group);
        }
        if let Some(attention) = runbook.attention {
            let settle_as = match attention.settle_as {
                Settlement::Succeeded => "succeeded",
                Settlement::Failed => "failed",
                Settlement::Retry => "retry",
                Settlement::Skipped => "skipped",
            };
            text += &format!("attention: {{after: {}, as: {settle_as}}}\n", span(attention.after));
        }
        text + &self.steps_yaml()
    }

    fn steps_yaml(&self) -> String {
        let mut text = String::new();
        for (part, title) in [(Part::Main, "steps"), (Part::Finally, "finally")] {
            if self.runbook.steps.iter().any(|step| step.part == part) {
                text += &format!("{title}:\n");
            }
            for step in (0..self.runbook.steps.len()).filter(|step| self.is_main(*step) == (part == Part::Main)) {
                text += &self.step_yaml(step);
            }
        }
        text
    }

    fn outputs_yaml(&self) -> String {
        let outputs = self.runbook.outputs.iter().map(|(name, output)| {
            let (kind, value) = (output.value_type.name(), &output.value);
            format!("outputs: {{{name}: {{type: {kind}, value: {value:?}}}}}\n")
        });
        outputs.collect()
    }

    fn step_yaml(&self, index: usize) -> String {
        let Some(step) = self.runbook.steps.get(index) else { return String::new() };
        let mut text = format!("  {}:\n", step.id);
        let mut line = |line: String| text += &format!("    {line}\n");
        match &step.work {
            Work::Command(work) => {
                line(program(work));
                if let Some(env) = environment(work) {
                    line(env);
                }
            }
            Work::Fail(message) => line(format!("uses: fail\n    with: {{message: {message}}}")),
            Work::Wait(wait) => line(format!("uses: wait\n    with: {}", with(wait))),
            Work::Approval(approval) => line(format!("uses: approval\n    with: {}", asked(approval))),
            Work::Block(block) => {
                let inner = self.blocks.get(index).and_then(Option::as_ref);
                let inner = inner.map(|inner| inner.outputs_yaml() + &inner.steps_yaml()).unwrap_or_default();
                inner.lines().for_each(|inner| line(inner.to_owned()));
                if let Some(timeout) = block.timeout {
                    line(format!("timeout: {}", span(timeout)));
                }
            }
            Work::Runbook(call) => {
                line("uses: runbook".to_owned());
                let given = call.inputs.values().map(|given| match given {
                    Given::Value(value) => value.to_string(),
                    Given::Template(text) => format!("{text:?}"),
                });
                let given: Vec<String> = given.map(|given| format!("{SLOT}: {given}")).collect();
                line(format!("with: {{name: {}, inputs: {{{}}}}}", call.runbook, given.join(", ")));
            }
        }
        if !step.needs.is_empty() {
            let needs: Vec<&str> =
                self.needs(index).filter_map(|need| Some(self.runbook.steps.get(need)?.id.as_str())).collect();
            line(format!("needs: [{}]", needs.join(", ")));
        }
        if let Some(each) = step.each() {
            line(match &each.list {
                definition::Items::Known(items) => format!("for_each: {}", serde_json::Value::from(items.clone())),
                definition::Items::Expression(text) => format!("for_each: \"{text}\""),
            });
            if let Some(most) = each.max_parallel {
                line(format!("max_parallel: {most}"));
            }
            if each.max_failures > 0 {
                line(format!("max_failures: {}", each.max_failures));
            }
        }
        if let Some(repeat) = step.repeat() {
            let every = repeat.every.map(|every| format!(", every: {}", span(every))).unwrap_or_default();
            line(format!("repeat: {{until: \"{}\", max: {}{every}}}", repeat.until, repeat.max));
        }
        if let Some(condition) = &step.condition {
            line(format!("if: ${{{{ {} }}}}", condition.expression));
        }
        if !step.undoes.is_empty() {
            let undoes: Vec<&str> =
                self.undoes(index).filter_map(|undone| Some(self.runbook.steps.get(undone)?.id.as_str())).collect();
            line(format!("undoes: [{}]", undoes.join(", ")));
        }
        if step.when_skipped == WhenSkipped::GoOn {
            line("when_skipped: go_on".to_owned());
        }
        let writes = matches!(step.work, Work::Command(_) | Work::Wait(_));
        let written = step.each().map_or(&step.outputs, |each| &each.outputs);
        if !written.is_empty() && writes {
            let outputs: Vec<String> = written.iter().map(|(key, kind)| format!("{key}: {}", kind.name())).collect();
            line(format!("outputs: {{{}}}", outputs.join(", ")));
        }
        if !step.artifacts.is_empty() {
            line(format!("artifacts: [{}]", step.artifacts.join(", ")));
        }
        for (key, codes) in [("success", &step.success), ("unknown_if", &step.unknown_if)] {
            if let Some(codes) = codes {
                line(format!("{key}: \"{codes}\""));
            }
        }
        if let Some(retry) = &step.retry {
            let jitter = match retry.backoff.jitter {
                Jitter::None => "none",
                Jitter::Full => "full",
            };
            let condition = retry.condition.as_ref().map(|text| format!(", if: \"{text}\"")).unwrap_or_default();
            line(format!(
                "retry: {{attempts: {}, backoff: {{initial: {}, factor: {}.{:03}, max: {}, jitter: {jitter}}}{condition}}}",
                retry.attempts,
                span(retry.backoff.initial),
                retry.backoff.factor_millis / 1_000,
                retry.backoff.factor_millis % 1_000,
                span(retry.backoff.max),
            ));
        }
        match step.effect {
            Effect::Read if !matches!(step.work, Work::Command(_)) => {}
            Effect::Read => line("effect: read".to_owned()),
            Effect::Idempotent => line("effect: idempotent".to_owned()),
            Effect::Mutating => {}
            Effect::Destructive => line("effect: destructive".to_owned()),
        }
        if step.dry_run == DryRun::Skip {
            line("dry_run: skip".to_owned());
        }
        if let Some(target) = &step.target {
            line(format!("target: {target}"));
        }
        if let Some(verify) = &step.verify {
            line(format!("verify: {{{}}}", command(verify)));
        }
        if let Some(on_cancel) = &step.on_cancel {
            line(format!("on_cancel: {{{}}}", command(on_cancel)));
        }
        if let Some(rollback) = &step.rollback {
            line(format!("rollback: {{{}}}", command(rollback)));
        }
        if step.no_return {
            line("no_return: true".to_owned());
        }
        if step.allow_failure {
            line("allow_failure: true".to_owned());
        }
        if let Some(pool) = &step.pool {
            line(format!("pool: {pool}"));
        }
        if !step.locks.is_empty() {
            line("locks:".to_owned());
            step.locks.iter().for_each(|lock| line(format!("  - {lock}")));
        }
        text
    }
}

fn with(wait: &Wait) -> String {
    match wait {
        Wait::For(length) => format!("{{for: {}}}", span(*length)),
        Wait::Until(time) => format!("{{until: \"{time}\"}}"),
        Wait::Probe(probe) => {
            let asked = [("until", &probe.until), ("fail_if", &probe.fail_if)];
            let asked = asked.into_iter().filter_map(|(key, text)| Some(format!(", {key}: \"{}\"", text.as_ref()?)));
            format!(
                "{{probe: {{{}}}, every: {}, for: {}{}}}",
                command(&probe.command),
                span(probe.every),
                span(probe.within),
                asked.collect::<String>()
            )
        }
    }
}

fn asked(approval: &Approval) -> String {
    let mut text = format!("{{message: {}, approvals: {}", approval.message, approval.approvals);
    if !approval.roles.is_empty() {
        text += &format!(", roles: [{}]", approval.roles.join(", "));
    }
    if approval.not_requester {
        text += ", not_requester: true";
    }
    if let Some(timeout) = approval.timeout {
        let on_timeout = match approval.on_timeout {
            OnTimeout::Reject => "reject",
            OnTimeout::Approve => "approve",
            OnTimeout::Fail => "fail",
        };
        text += &format!(", timeout: {}, on_timeout: {on_timeout}", span(timeout));
    }
    let fields = approval.fields.iter();
    let field = |(name, field): (&String, &InputDecl)| {
        format!("{name}: {{type: string, required: {}, secret: {}}}", field.required, field.secret)
    };
    let fields: Vec<String> = fields.map(field).collect();
    text + &format!(", fields: {{{}}}}}", fields.join(", "))
}

/// A command in braces.
fn command(command: &Command) -> String {
    let env = environment(command).map(|env| format!(", {env}")).unwrap_or_default();
    format!("{}{env}", program(command))
}

fn environment(command: &Command) -> Option<String> {
    let all: Vec<String> = command.env.iter().map(|(name, text)| format!("{name}: {text:?}")).collect();
    (!all.is_empty()).then(|| format!("env: {{{}}}", all.join(", ")))
}

fn program(command: &Command) -> String {
    match &command.program {
        Program::Action(acting) => format!("uses: {}", acting.name),
        Program::Argv(words) => format!("argv: [{}]", words.join(", ")),
        Program::Script { text, .. } => format!("run: {text}"),
    }
}

/// A duration as the language writes it, to the millisecond.
fn span(span: Span) -> String {
    format!("{}ms", span.as_millis())
}

/// A type's name for outputs that the generator declares, and a value of it.
pub(crate) const OUTPUT_TYPES: [ValueType; 3] = [ValueType::Integer, ValueType::String, ValueType::Boolean];
