//! How a run is named on the command line: its number, its uid, or `last`.

use runbook_proto::v1::{ListRunsRequest, Origin};

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::session::runs;

/// The newest run that somebody or a schedule started.
pub const LAST: &str = "last";

/// What asks for that run. Those that a hook started are left out: just when something failed one of them is the newest, and
/// nobody means it.
pub fn newest() -> ListRunsRequest {
    let origins = [Origin::Person, Origin::Api, Origin::Schedule].map(i32::from).to_vec();
    ListRunsRequest { page_size: 1, origins, ..Default::default() }
}

/// The name by which the API knows a run.
///
/// # Errors
/// `last` was asked for and there is no run, or no daemon answers.
pub async fn resolve(cx: &mut Context, typed: &str) -> Result<String> {
    if typed != LAST {
        return Ok(typed.to_owned());
    }
    let page = cx.session.ask(async |channel| runs(channel).list_runs(newest()).await).await?;
    match page.runs.into_iter().next() {
        Some(run) => Ok(run.uid),
        None => Err(Failure::usage("there is no last run: nothing has run yet").next("`runbook exec NAME` starts one")),
    }
}
