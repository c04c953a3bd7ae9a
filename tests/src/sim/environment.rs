//! The environments of simulated worlds: one with roles and a freeze, one with hours, one with approvals. What that means is the model's to say.

use runbook_core::definition::{Approvals, Environment, Freeze, Hours, Protection, Window};
use runbook_core::time::{Span, Timestamp};

use super::design::{ENVIRONMENTS, ROLES};
use super::world::EPOCH;

/// The minutes in which the first environment is frozen, since the world began.
pub(crate) const FROZEN: (i64, i64) = (1, 3);
/// The minutes of the day in which nothing is started in the second one: worlds begin at eight o'clock.
pub(crate) const CLOSED: (i64, i64) = (484, 486);
/// How many have to approve a start in the third one.
pub(crate) const APPROVERS: u32 = 2;
/// How long they have.
pub(crate) const ASKED_FOR: i64 = 5 * MINUTE;
const MINUTE: i64 = 60_000_000;

/// The environment of a name.
pub(crate) fn called(name: &str) -> Environment {
    let at = |minute: i64| Timestamp(EPOCH + minute * MINUTE);
    let protection = match ENVIRONMENTS.iter().position(|known| *known == name) {
        Some(0) => Protection {
            roles: vec![ROLES[0].to_owned()],
            override_roles: vec![ROLES[1].to_owned()],
            freezes: [("rest".to_owned(), Freeze { from: at(FROZEN.0), to: at(FROZEN.1), reason: "rest".to_owned() })]
                .into_iter()
                .collect(),
            ..Protection::default()
        },
        Some(2) => Protection {
            approvals: Some(Approvals {
                roles: vec![ROLES[1].to_owned()],
                count: APPROVERS,
                not_requester: true,
                timeout: Some(Span(ASKED_FOR)),
            }),
            ..Protection::default()
        },
        // Open from the end of the closed minutes, over midnight, to their begin.
        _ => Protection {
            hours: Some(Hours {
                timezone: "UTC".to_owned(),
                allowed: vec![Window {
                    days: [true; 7],
                    from: CLOSED.1 as u32,
                    to: CLOSED.0 as u32,
                    text: "most of the day".to_owned(),
                }],
            }),
            override_roles: vec![ROLES[0].to_owned(), ROLES[1].to_owned()],
            ..Protection::default()
        },
    };
    Environment { name: name.to_owned(), protection, ..Environment::default() }
}
