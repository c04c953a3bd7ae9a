//! Runs worlds by their seeds; makes a failure small and says how to see it again.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::faults::Limits;
use super::model::Check;
use super::sabotage::Sabotage;
use super::seen::Seen;
use super::world::World;

/// A world in which something went wrong.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What the world was bounded by.
    pub limits: Limits,
    /// What is wrong.
    pub what: String,
    /// What the world was like.
    pub settings: String,
    /// Its latest events.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} fails: {}", self.seed, self.what)?;
        writeln!(f, "the world: {}", self.settings)?;
        writeln!(f, "its latest events (seconds since its beginning):")?;
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {} fails: {}", self.seed, self.what)?;
        write!(f, "again: {}", command(self.seed, self.limits))
    }
}

/// The command that shows a world again.
pub fn command(seed: u64, limits: Limits) -> String {
    let bounds = if limits == Limits::NONE { String::new() } else { format!("RUNBOOK_SIM_LIMITS={limits} ") };
    format!("RUNBOOK_SIM_SEED={seed} {bounds}cargo test -p runbook-tests --test simulation replay -- --nocapture")
}

/// Lives through the world of a seed.
///
/// # Errors
/// What a checker objected to, with a trace of how it came to that.
pub fn simulate(seed: u64, limits: Limits, sabotage: Option<Sabotage>) -> Result<Seen, Box<Failure>> {
    let mut world = World::new(seed, limits, sabotage, false);
    match live(&mut world) {
        Ok(()) => Ok(world.seen),
        // The same once more, with a trace; a world without one is faster.
        Err(_) => Err(Box::new(traced(seed, limits, sabotage))),
    }
}

/// A panic of the engine is a failure as any other, with its seed.
fn live(world: &mut World) -> Check {
    catch_unwind(AssertUnwindSafe(|| world.live())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("it panicked: {}", text.unwrap_or_default()))
    })
}

fn traced(seed: u64, limits: Limits, sabotage: Option<Sabotage>) -> Failure {
    let mut world = World::new(seed, limits, sabotage, true);
    let what = match live(&mut world) {
        Ok(()) => "it failed once, and not when it was repeated: the engine is not deterministic".to_owned(),
        Err(what) => what,
    };
    let settings = format!("{:?}", world.settings);
    Failure { seed, limits, what, settings, trace: world.trace.lines() }
}

/// Makes the world of a failure smaller for as long as it still fails, in whatever way.
pub fn shrink(failure: Box<Failure>, sabotage: Option<Sabotage>) -> Box<Failure> {
    let mut best = failure;
    loop {
        let at = best.limits;
        let mut smaller: Vec<Limits> = Vec::new();
        for steps in [1, 2, 3, 5, 8, 13, 20] {
            if steps < at.steps {
                smaller.push(Limits { steps, ..at });
            }
        }
        for runs in [1, 2, 3, 5] {
            if runs < at.runs {
                smaller.push(Limits { runs, ..at });
            }
        }
        for pokes in [0, 1, 2, 4, 8] {
            if pokes < at.pokes {
                smaller.push(Limits { pokes, ..at });
            }
        }
        for schedules in [0, 1, 2] {
            if schedules < at.schedules {
                smaller.push(Limits { schedules, ..at });
            }
        }
        let off = [Limits { crashes: false, ..at }, Limits { reports: false, ..at }, Limits { clock: false, ..at }];
        smaller.extend(off.into_iter().filter(|limits| *limits != at));
        let found = smaller.into_iter().find_map(|limits| simulate(best.seed, limits, sabotage).err());
        match found {
            Some(failure) => best = failure,
            None => return best,
        }
    }
}
