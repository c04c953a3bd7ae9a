//! `until` of a `repeat`: whether it is asked of failed iterations, too, and where it is of no use, since it is the same after
//! every iteration, or lets the step fail in any case. Takes for possible whatever is not sure.

use serde_json::Value;

use super::draft::{Draft, Use};
use super::expressions::Parsed;
use crate::definition::{Many, Repeat};
use crate::expression::{Expression, IterationField, Located, Reference, Scope};

/// Notes of which repetitions a failed iteration is asked about.
pub(super) fn note(draft: &mut Draft<'_>, parsed: &[Parsed<'_>]) {
    for parsed in parsed.iter().filter(|parsed| parsed.place.usage == Use::Until) {
        let any =
            |located: &Located<Reference>| matches!(&located.value, Reference::Iteration(field) if field.of_any());
        let step = parsed.place.owner.step().and_then(|index| draft.runbook.steps.get_mut(index));
        if let Some(Many::Repeat(repeat)) = step.and_then(|step| step.many.as_deref_mut()) {
            repeat.any_outcome = parsed.references().any(any);
        }
    }
}

/// What is wrong with an `until`, and what to do about it.
pub(super) fn pointless(until: &Expression, repeat: &Repeat) -> Option<(String, &'static str)> {
    let references = || until.references().iter().map(|located| &located.value);
    let of_iteration =
        |reference: &Reference| matches!(reference, Reference::Iteration(_) | Reference::IterationOutput(_));
    if !references().any(of_iteration) {
        let message = "`until` mentions nothing of the iteration, so that it is the same after each";
        let help = "ask for `iteration.outputs.KEY`, `iteration.status`, `iteration.exit_code` or `iteration.number`";
        return Some((message.to_owned(), help));
    }
    let number = Reference::Iteration(IterationField::Number);
    let max = repeat.max;
    if references().all(|reference| *reference == number)
        && !(1..=max).any(|number| until.holds(&Numbered(number)).unwrap_or(true))
    {
        let message = format!("this holds of none of the {max} iterations that there may be, and then the step fails");
        return Some((message, "let it hold of the last one: `iteration.number == …`"));
    }
    let well = |reference: &Reference| match reference {
        Reference::Iteration(IterationField::Status) => Some(vec![Value::from("succeeded")]),
        _ => None,
    };
    until.never_holds(&well).then(|| {
        let message = "this never holds of an iteration that succeeded, and of one that failed the step fails as well";
        (message.to_owned(), "ask for what is to be reached: `iteration.status == 'succeeded'`")
    })
}

/// Where only the number of the iteration is asked for.
struct Numbered(u32);

impl Scope for Numbered {
    fn value_of(&self, reference: &Reference) -> Option<Value> {
        match reference {
            Reference::Iteration(IterationField::Number) => Some(Value::from(self.0)),
            _ => None,
        }
    }
}
