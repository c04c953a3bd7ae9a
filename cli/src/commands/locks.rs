//! `runbook locks`: who has which lock or group or a place in which pool, and who waits for it; and a lock that is released by
//! hand.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{ListLocksRequest, ListPoolsRequest, Lock, LockClaim, Pool, PoolClaim, ReleaseLockRequest};
use serde_json::json;

use crate::complete;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::line::{Line, Tone};
use crate::moment::{Moment, moment, running_span};
use crate::pages;
use crate::session::runs;
use crate::table::Table;
use crate::to_json;

/// How many of a queue are shown.
const QUEUE: usize = 3;

/// Arguments of `locks`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  runbook locks\n  runbook locks db/orders\n  runbook locks --output json\n  \
    runbook locks release db/orders --reason 'the disk is gone, nothing writes there'"
)]
pub struct Locks {
    /// What to do; without it they are listed
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Only the lock, group or pool of this name
    #[arg(add = ArgValueCompleter::new(complete::lock))]
    pub name: Option<String>,
}

/// What can be done about locks.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Have a step give its locks up, so that others have them
    #[command(
        after_help = "The step gives up all the locks that it has, and waits for them again before anything more of it \
        starts. Refused while an attempt of it may be at work, or what it started is on. A run keeps its own locks and its group \
        until it is over.\n\n\
        Example:\n  runbook locks release db/orders --reason 'the disk is gone, nothing writes there'"
    )]
    Release(Release),
}

/// Arguments of `locks release`.
#[derive(Debug, Args)]
pub struct Release {
    /// The lock, as `runbook locks` names it
    #[arg(add = ArgValueCompleter::new(complete::lock))]
    pub lock: String,
    /// Why nobody needs it there now; it stays in the run's history
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// Runs the verb.
///
/// # Errors
/// The lock cannot be released, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Locks) -> Result<ExitCode> {
    match &args.verb {
        Some(Verb::Release(args)) => release(cx, args).await,
        None => list(cx, args.name.as_ref()).await,
    }
}

async fn release(cx: &mut Context, args: &Release) -> Result<ExitCode> {
    let request = ReleaseLockRequest { name: args.lock.clone(), reason: args.reason.clone() };
    let response = cx.session.tell(async |channel| runs(channel).release_lock(request).await).await?;
    if cx.console.json {
        cx.console.json(&json!({
            "released": response.released.as_ref().map(to_json::lock_claim),
            "names": response.names,
            "lock": response.lock.as_ref().map(to_json::lock),
        }))?;
        return Ok(ExitCode::Succeeded);
    }
    let holder = response.released.as_ref().map(claim).unwrap_or_default();
    cx.console.say(&format!("{holder} gave up {}", response.names.join(", ")));
    let next = response.lock.as_ref().and_then(|lock| lock.holders.first()).map(claim);
    cx.console.say(&match next {
        Some(next) => format!("{} is had by {next} now", args.lock),
        None => format!("nobody has {} now", args.lock),
    });
    Ok(ExitCode::Succeeded)
}

async fn list(cx: &mut Context, name: Option<&String>) -> Result<ExitCode> {
    let mut all: Vec<Lock> = pages::all(async |page_size, page_token| {
        let request = ListLocksRequest { page_size, page_token };
        let page = cx.session.ask(async |channel| runs(channel).list_locks(request.clone()).await).await?;
        Ok((page.locks, page.next_page_token))
    })
    .await?;
    let mut pools: Vec<Pool> = pages::all(async |page_size, page_token| {
        let request = ListPoolsRequest { page_size, page_token };
        let page = cx.session.ask(async |channel| runs(channel).list_pools(request.clone()).await).await?;
        Ok((page.pools, page.next_page_token))
    })
    .await?;
    let wanted = |other: &String| name.is_none_or(|wanted| wanted == other);
    all.retain(|lock| wanted(&lock.name));
    pools.retain(|pool| wanted(&pool.name));
    if cx.console.json {
        let all: Vec<_> = all.iter().map(to_json::lock).collect();
        let pools: Vec<_> = pools.iter().map(to_json::pool).collect();
        cx.console.json(&json!({"locks": all, "pools": pools}))?;
        return Ok(ExitCode::Succeeded);
    }
    if !all.is_empty() {
        cx.console.table(&table(&all, Moment::now()))?;
    }
    if !pools.is_empty() {
        if !all.is_empty() {
            cx.console.line(&Line::default())?;
        }
        cx.console.table(&table_of_pools(&pools, Moment::now()))?;
    }
    if all.is_empty() && pools.is_empty() {
        cx.console.say(match name {
            None => "nobody has a lock or a group, and there is no pool",
            Some(_) => "nobody has it, and nobody waits for it",
        });
    }
    Ok(ExitCode::Succeeded)
}

/// The pools, a row for each.
fn table_of_pools(pools: &[Pool], now: Moment) -> Table {
    let mut table = Table::new(&["POOL", "TAKEN", "HELD BY", "WAITING"]).wrapped();
    for pool in pools {
        let holder = |claim: &PoolClaim| match moment(claim.since.as_ref()) {
            Some(since) => format!("{} ({})", place(claim), running_span(now.since(since))),
            None => place(claim),
        };
        table.row(vec![
            (Tone::Bold, pool.name.clone()),
            (Tone::Plain, format!("{} of {}", pool.taken, pool.capacity)),
            (Tone::Plain, some(pool.holders.iter().map(holder), pool.taken)),
            (Tone::Plain, some(pool.queue.iter().map(place), pool.waiting)),
        ]);
    }
    table
}

/// Who it is: `run 7 a/b`.
fn place(claim: &PoolClaim) -> String {
    format!("run {} {}", claim.run_number, claim.step)
}

/// The locks, a row for each.
fn table(locks: &[Lock], now: Moment) -> Table {
    let mut table = Table::new(&["LOCK", "HELD BY", "FOR", "STARTED BY", "WAITING"]).wrapped();
    for lock in locks {
        // What is part of the first one has it through that.
        let holder = lock.holders.first();
        let since = holder.and_then(|holder| moment(holder.since.as_ref()));
        let by = holder.and_then(|holder| holder.started_by.as_ref());
        table.row(vec![
            (Tone::Bold, if lock.group { format!("group {}", lock.name) } else { lock.name.clone() }),
            (Tone::Plain, holder.map_or_else(|| "nobody".to_owned(), claim)),
            (Tone::Plain, since.map(|since| running_span(now.since(since))).unwrap_or_default()),
            (Tone::Plain, by.map(|by| by.name.clone()).unwrap_or_default()),
            (Tone::Plain, queue(lock)),
        ]);
    }
    table
}

/// Who it is: `run 7`, or `run 7 a/b`.
fn claim(claim: &LockClaim) -> String {
    match claim.step.as_str() {
        "" => format!("run {}", claim.run_number),
        step => format!("run {} {step}", claim.run_number),
    }
}

/// The first that wait, and how many more.
fn queue(lock: &Lock) -> String {
    some(lock.queue.iter().map(claim), lock.waiting)
}

/// The first of so many, and how many more.
fn some(all: impl Iterator<Item = String>, count: u64) -> String {
    let named: Vec<String> = all.take(QUEUE).collect();
    match usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(named.len()) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Timestamp;
    use runbook_proto::v1::Principal;

    #[test]
    fn a_lock_says_who_has_it_and_who_is_next() {
        let who = |number: u64, step: &str| LockClaim {
            run_number: number,
            step: step.into(),
            started_by: Some(Principal { name: "ann".into(), uid: Some(1000) }),
            since: Some(Timestamp { seconds: 360, nanos: 0 }),
            ..LockClaim::default()
        };
        let lock = Lock {
            name: "db/orders".into(),
            group: false,
            holders: vec![who(7, ""), who(7, "a")],
            queue: vec![who(8, "a/change"), who(9, ""), who(10, ""), who(11, "")],
            waiting: 5,
        };
        let group = Lock { name: "one".into(), group: true, queue: vec![who(9, "")], waiting: 1, ..Lock::default() };
        let table = table(&[lock, group], Moment(400_000_000));
        let lines: Vec<String> = table.lines(Some(80)).iter().map(|line| line.plain().trim_end().to_owned()).collect();
        assert_eq!(
            lines,
            [
                "LOCK       HELD BY  FOR   STARTED BY  WAITING",
                "db/orders  run 7    40 s  ann         run 8 a/change, run 9, run 10 and 2 more",
                "group one  nobody                     run 9",
            ]
        );
    }
    #[test]
    fn a_pool_says_how_much_of_it_is_taken_and_by_whom() {
        let who = |number: u64, step: &str| PoolClaim {
            run_number: number,
            step: step.into(),
            since: Some(Timestamp { seconds: 360, nanos: 0 }),
            ..PoolClaim::default()
        };
        let waits = |number: u64| PoolClaim { since: None, ..who(number, "copy") };
        let holders = vec![who(7, "dump"), who(8, "a/dump")];
        let queue = vec![waits(9), waits(10)];
        let taken = Pool { name: "disks".into(), capacity: 2, taken: 2, holders, queue, waiting: 4 };
        let free = Pool { name: "api".into(), capacity: 5, ..Pool::default() };
        let table = table_of_pools(&[free, taken], Moment(400_000_000));
        let lines: Vec<String> = table.lines(Some(100)).iter().map(|line| line.plain().trim_end().to_owned()).collect();
        assert_eq!(
            lines,
            [
                "POOL   TAKEN   HELD BY                                 WAITING",
                "api    0 of 5",
                "disks  2 of 2  run 7 dump (40 s), run 8 a/dump (40 s)  run 9 copy, run 10 copy and 2 more",
            ]
        );
    }
}
