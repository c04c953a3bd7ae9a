//! What a start would do, as JSON.

use runbook_proto::v1;
use serde_json::{Value, json};

use super::{input_source, priority, run, seconds, text, time, value};

/// A plan.
pub fn plan(plan: &v1::PlanRunResponse) -> Value {
    let inputs = plan.inputs.iter().map(|input| {
        let source = input_source(input.source());
        let value = input.value.as_ref().map_or(Value::Null, value);
        json!({"name": input.name, "value": value, "source": source, "secret": input.secret, "ephemeral": input.ephemeral})
    });
    let problems = plan.problems.iter().map(|problem| json!({"subject": problem.subject, "problem": problem.problem}));
    json!({
        "runbook": plan.runbook,
        "definition": plan.definition,
        "environment": text(&plan.environment),
        "approved_by": text(&plan.approved_by),
        "inputs": inputs.collect::<Vec<_>>(),
        "steps": plan.steps.iter().map(planned_step).collect::<Vec<_>>(),
        "locks": plan.locks.iter().map(planned_lock).collect::<Vec<_>>(),
        "problems": problems.collect::<Vec<_>>(),
        "preflight_skipped": plan.preflight_skipped,
        "critical_path": plan.critical_path,
        "expected_seconds": plan.expected.as_ref().map(seconds),
        "expected_p90_seconds": plan.expected_p90.as_ref().map(seconds),
        "unmeasured": plan.unmeasured,
        "past_runs": plan.past_runs,
        "targets": plan.targets.iter().map(target).collect::<Vec<_>>(),
        "priority": priority(plan.priority()),
        "rollback": plan.rollback,
        "rollback_of": plan.rollback_of,
    })
}

fn planned_lock(lock: &v1::PlannedLock) -> Value {
    json!({
        "name": lock.name,
        "group": lock.group,
        "holder": lock.holder.as_ref().map(run),
        "held_since": time(lock.held_since.as_ref()),
        "waiting": lock.waiting,
        "replaces": lock.replaces,
    })
}

fn target(target: &v1::PlannedTarget) -> Value {
    json!({"name": target.name, "steps": target.steps, "confirmed": target.confirmed})
}

fn planned_step(step: &v1::PlannedStep) -> Value {
    let outlook = match step.outlook() {
        v1::StepOutlook::Unspecified => "unspecified",
        v1::StepOutlook::Runs => "runs",
        v1::StepOutlook::Skipped => "skipped",
        v1::StepOutlook::Fails => "fails",
        v1::StepOutlook::Open => "open",
        v1::StepOutlook::LeftOut => "left_out",
    };
    json!({
        "id": step.id,
        "needs": step.needs,
        "in_finally": step.in_finally,
        "effect": step.effect,
        "condition": text(&step.condition),
        "target": text(&step.target),
        "outlook": outlook,
        "why": text(&step.why),
        "asks": step.asks,
        "median_seconds": step.median.as_ref().map(seconds),
        "p90_seconds": step.p90.as_ref().map(seconds),
        "samples": step.samples,
        "has_rollback": step.has_rollback,
        "no_return": step.no_return,
        "runbook": text(&step.runbook),
        "each": text(&step.each),
        "repeat": text(&step.repeat),
        "locks": step.locks.iter().map(planned_lock).collect::<Vec<_>>(),
        "pool": text(&step.pool),
        "waits": text(&step.waits),
        "below": step.below.iter().map(planned_step).collect::<Vec<_>>(),
    })
}
