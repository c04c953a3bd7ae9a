//! Rendering a step's texts: the run's own values with the world's secrets and artifacts in front, and what of it
//! is secret. Never knows what the texts are for.

use std::cell::RefCell;

use runbook_core::expression::{Reference, Scope, Template};
use runbook_core::id::StepNo;
use runbook_core::run::scope::RunScope;
use runbook_core::run::{Progress, RunState};
use serde_json::Value;

use crate::world::World;

/// A rendered text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub text: String,
    /// Whether any part of it came from a secret.
    pub secret: bool,
}

/// The names as an attempt's texts see them.
pub(crate) struct Values<'a> {
    run: &'a RunState,
    step: StepNo,
    world: &'a dyn World,
    // Evaluation has no way to say that a secret cannot be had: the first such problem is kept here.
    problem: RefCell<Option<String>>,
    // Secret values met on the way; all of them are hidden in the log.
    met: RefCell<Vec<String>>,
}

impl<'a> Values<'a> {
    pub(crate) fn new(run: &'a RunState, step: StepNo, world: &'a dyn World) -> Self {
        Self { run, step, world, problem: RefCell::new(None), met: RefCell::new(Vec::new()) }
    }

    /// Every secret value that was met so far.
    pub(crate) fn secrets_met(&self) -> Vec<String> {
        self.met.borrow().clone()
    }

    /// Renders a text of the definition.
    pub(crate) fn render(&self, source: &str) -> Result<Rendered, String> {
        let template = Template::parse(source)
            .map_err(|faults| faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; "))?;
        let secret = template.references().any(|located| self.is_secret(&located.value));
        let text = template.render_text(self).map_err(|error| error.to_string());
        if let Some(problem) = self.problem.borrow_mut().take() {
            return Err(problem);
        }
        Ok(Rendered { text: text?, secret })
    }

    /// The value of a text of the definition: that of an expression that stands alone keeps its type.
    pub(crate) fn value(&self, source: &str) -> Result<Value, String> {
        let template = Template::parse(source)
            .map_err(|faults| faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; "))?;
        let value = template.render(self).map_err(|error| error.to_string());
        match self.problem.borrow_mut().take() {
            Some(problem) => Err(problem),
            None => value,
        }
    }

    fn is_secret(&self, reference: &Reference) -> bool {
        let created = self.run.created();
        match reference {
            Reference::Secret(_) => true,
            Reference::Input(name) => created.sealed_inputs.contains(name),
            Reference::StepOutput(id, key) => self.secret_field(id, key).is_some(),
            Reference::Env(name) => self.run.pinned().runbook.env.get(name).is_some_and(|source| {
                Template::parse(source).is_ok_and(|template| {
                    template.references().any(|located| match &located.value {
                        Reference::Env(_) => false,
                        other => self.is_secret(other),
                    })
                })
            }),
            _ => false,
        }
    }

    /// The approval whose field it is, if that is a secret one.
    fn secret_field(&self, id: &str, key: &str) -> Option<StepNo> {
        let no = self.run.pinned().find(id)?;
        let approval = self.run.pinned().runbook.step(no)?.approval()?;
        approval.is_secret(key).then_some(no)
    }

    fn met(&self, value: Value) -> Value {
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        self.met.borrow_mut().push(text);
        value
    }

    fn keep<T>(&self, found: Result<T, String>) -> Option<T> {
        found.map_err(|problem| *self.problem.borrow_mut() = Some(problem)).ok()
    }
}

impl Scope for Values<'_> {
    fn value_of(&self, reference: &Reference) -> Option<Value> {
        match reference {
            Reference::Secret(name) => {
                let value = self.keep(self.world.secret(name))?;
                self.met.borrow_mut().push(value.clone());
                Some(Value::String(value))
            }
            Reference::Input(name) if self.run.created().sealed_inputs.contains(name) => {
                self.keep(self.world.sealed_input(name)).map(|value| self.met(value))
            }
            Reference::StepOutput(id, key) if let Some(no) = self.secret_field(id, key) => {
                // Of an approval that did not succeed there is none, and a text that may meet that says what is taken then.
                self.run.step(no).filter(|state| state.progress == Progress::Succeeded)?;
                let sealed = self.run.sealed_field(no, key)?;
                self.keep(self.world.sealed_field(sealed)).map(|value| self.met(value))
            }
            Reference::Env(name) => {
                let source = self.run.pinned().runbook.env.get(name)?;
                let template = self.keep(Template::parse(source).map_err(|_| format!("env.{name} is malformed")))?;
                self.keep(template.render_text(self).map_err(|e| format!("env.{name}: {e}"))).map(Value::String)
            }
            Reference::StepArtifact(id, name) if let Some(no) = self.run.pinned().find(id) => {
                let state = self.run.step(no)?;
                state.artifacts.iter().find(|artifact| artifact.name == *name)?;
                let path = self.world.artifacts_of(no, state.last_run?).join(name);
                Some(Value::String(path.to_string_lossy().into_owned()))
            }
            _ => RunScope { run: self.run, step: Some(self.step), exit_code: None, written: None }.value_of(reference),
        }
    }
}
