//! How a run is named on the command line: its number, its uid, or `last`.

use runbook_proto::v1::ListRunsRequest;

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::session::runs;

/// The newest run.
const LAST: &str = "last";

/// The name by which the API knows a run.
///
/// # Errors
/// `last` was asked for and there is no run, or no daemon answers.
pub async fn resolve(cx: &mut Context, typed: &str) -> Result<String> {
    if typed != LAST {
        return Ok(typed.to_owned());
    }
    let request = ListRunsRequest { page_size: 1, ..Default::default() };
    let page = cx.session.ask(async |channel| runs(channel).list_runs(request.clone()).await).await?;
    match page.runs.into_iter().next() {
        Some(run) => Ok(run.uid),
        None => Err(Failure::usage("there is no last run: nothing has run yet").next("`runbook exec NAME` starts one")),
    }
}
