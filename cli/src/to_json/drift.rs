//! What differs from what is written, as JSON.

use runbook_proto::v1;
use serde_json::{Value, json};

use super::{text, time};

/// A stack, with what differs of it.
pub fn drift_stack(it: &v1::DriftStack) -> Value {
    json!({
        "environment": text(&it.environment),
        "source": it.source,
        "stack": it.stack,
        "workspace": it.workspace,
        "last_look": look(it.last_look.as_ref()),
        "failed_look": look(it.failed_look.as_ref()),
        "left_out": it.left_out,
        "differences": it.differences.iter().map(difference).collect::<Vec<_>>(),
    })
}

fn look(it: Option<&v1::DriftLook>) -> Value {
    it.map_or(
        Value::Null,
        |it| json!({"run": it.run, "number": it.number, "at": time(it.at.as_ref()), "message": text(&it.message)}),
    )
}

fn difference(it: &v1::DriftDifference) -> Value {
    let acceptance = it.acceptance.as_ref().map(
        |it| json!({"until": time(it.until.as_ref()), "reason": it.reason, "by": it.by, "at": time(it.at.as_ref())}),
    );
    json!({
        "address": it.address,
        "action": it.action,
        "attributes": it.attributes,
        "more_attributes": it.more_attributes,
        "first_seen": look(it.first_seen.as_ref()),
        "since": look(it.since.as_ref()),
        "new": it.is_new,
        "accepted": it.accepted,
        "acceptance": acceptance,
    })
}
