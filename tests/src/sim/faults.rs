//! What a world is like: how large, how its attempts end, what goes wrong in it. All drawn from the seed, within
//! limits that a replay can narrow.

use std::fmt;

use super::generator::{LARGE_STEPS, Richness, STEPS};
use super::random::Random;

const MINUTE: i64 = 60_000_000;

/// Upper bounds on a world, to make a failure smaller. The default bounds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Main steps of a runbook.
    pub steps: usize,
    /// Runs that clients start.
    pub runs: usize,
    /// Things that people do to runs, besides starting them.
    pub pokes: usize,
    /// Schedules that the folder has at most.
    pub schedules: usize,
    /// Whether the daemon may crash.
    pub crashes: bool,
    /// Whether reports of attempts may come late, twice or never.
    pub reports: bool,
    /// Whether the wall clock may be set.
    pub clock: bool,
}

impl Limits {
    /// No bound beyond the generator's own.
    pub const NONE: Self = Self {
        steps: usize::MAX,
        runs: usize::MAX,
        pokes: usize::MAX,
        schedules: usize::MAX,
        crashes: true,
        reports: true,
        clock: true,
    };

    /// Reads what `Display` writes; keys that are left out bound nothing.
    ///
    /// # Errors
    /// In words: the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut limits = Self::NONE;
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("{part:?} is not KEY=NUMBER"))?;
            let number: usize = value.parse().map_err(|_| format!("{part:?} has no number"))?;
            match key {
                "steps" => limits.steps = number,
                "runs" => limits.runs = number,
                "pokes" => limits.pokes = number,
                "schedules" => limits.schedules = number,
                "crashes" => limits.crashes = number > 0,
                "reports" => limits.reports = number > 0,
                "clock" => limits.clock = number > 0,
                _ => return Err(format!("{key:?} is none of steps, runs, pokes, schedules, crashes, reports, clock")),
            }
        }
        Ok(limits)
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (key, number) in
            [("steps", self.steps), ("runs", self.runs), ("pokes", self.pokes), ("schedules", self.schedules)]
        {
            if number < usize::MAX {
                parts.push(format!("{key}={number}"));
            }
        }
        for (key, on) in [("crashes", self.crashes), ("reports", self.reports), ("clock", self.clock)] {
            if !on {
                parts.push(format!("{key}=0"));
            }
        }
        f.write_str(&parts.join(","))
    }
}

/// How attempts end, in weights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Temper {
    pub(crate) succeed: u32,
    pub(crate) fail: u32,
    pub(crate) cut_off: u32,
    pub(crate) lost: u32,
    pub(crate) left: u32,
    pub(crate) want: u32,
    pub(crate) refuse: u32,
    /// In percent: outputs or artifacts are missing or wrong.
    pub(crate) sloppy: u32,
    /// The longest that an attempt takes, in microseconds.
    pub(crate) longest: i64,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    /// Of a thousand turns.
    pub(crate) crashes: u32,
    /// Of a hundred crashes: the whole machine restarts.
    pub(crate) power_cuts: u32,
    /// The longest that the daemon is away, in microseconds.
    pub(crate) downtime: i64,
    /// Of a hundred reports.
    pub(crate) late: u32,
    pub(crate) doubled: u32,
    pub(crate) lost: u32,
    /// How often the clock is set, at any time.
    pub(crate) clock_steps: usize,
    /// Of a thousand turns: the clock is set soon after.
    pub(crate) clock_after_turns: u32,
    /// The longest that a commit takes, in microseconds.
    pub(crate) commit: i64,
}

/// What a world is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) places: usize,
    /// How many places each pool has at first.
    pub(crate) pools: [usize; 2],
    pub(crate) runbooks: usize,
    pub(crate) runs: usize,
    pub(crate) pokes: usize,
    pub(crate) schedules: usize,
    pub(crate) steps: usize,
    pub(crate) rich: Richness,
    pub(crate) temper: Temper,
    pub(crate) faults: Faults,
    /// Until when clients do new things, in microseconds.
    pub(crate) horizon: i64,
}

impl Settings {
    pub(crate) fn draw(random: &Random, limits: Limits) -> Self {
        let mut size = random.fork("size", 0);
        let large = size.permille(15);
        let runbooks = if large { 1 } else { 1 + size.below(4) };
        let runs = if large { 2 } else { size.spread(1, 12) as usize };
        let steps = match (large, size.below(3)) {
            (true, _) => LARGE_STEPS,
            (false, 0) => STEPS,
            (false, 1) => 12,
            (false, _) => 5,
        };
        let pokes = size.below(4 * runs + 1);
        let horizon = size.pick([MINUTE, 10 * MINUTE, 60 * MINUTE]);
        let places = size.between(1, 16) as usize;
        Self {
            pools: Self::pools(&mut random.fork("pools", 0)),
            places: if large { places.max(4) } else { places },
            runbooks,
            runs: runs.min(limits.runs),
            pokes: pokes.min(limits.pokes),
            schedules: if large { 0 } else { random.fork("schedules", 1).pick([0, 0, 1, 2, 3]).min(limits.schedules) },
            steps: steps.min(limits.steps),
            rich: Richness::draw(&mut random.fork("rich", 0)),
            temper: Temper::draw(&mut random.fork("temper", 0)),
            faults: Faults::draw(&mut random.fork("faults", 0), limits),
            horizon,
        }
    }
}

impl Settings {
    /// How many places each pool has.
    pub(crate) fn pools(random: &mut Random) -> [usize; 2] {
        [0, 1].map(|_| random.between(1, 3) as usize)
    }
}

impl Temper {
    fn draw(random: &mut Random) -> Self {
        let mut weight = || random.pick([0, 0, 3, 10, 30]);
        Self {
            fail: weight(),
            cut_off: weight(),
            lost: weight() / 2,
            left: weight() / 4,
            want: weight() / 2,
            refuse: weight() / 4,
            sloppy: weight() / 2,
            succeed: random.pick([20, 60, 200]),
            longest: random.pick([MINUTE / 60, MINUTE, 10 * MINUTE]),
        }
    }

    /// The same with nothing that the engine cannot know the end of.
    pub(crate) const fn calm(self) -> Self {
        Self { cut_off: 0, lost: 0, left: 0, want: 0, ..self }
    }
}

impl Faults {
    fn draw(random: &mut Random, limits: Limits) -> Self {
        let crashes = random.pick([0, 10, 50, 200]);
        let power_cuts = random.pick([0, 30]);
        let downtime = random.pick([MINUTE / 600, MINUTE, 30 * MINUTE]);
        let late = random.pick([0, 10, 50]);
        let doubled = random.pick([0, 10, 30]);
        let lost = random.pick([0, 0, 5, 20]);
        let (clock_steps, clock_after_turns) = random.pick([(0, 0), (0, 0), (2, 5), (4, 50)]);
        let commit = random.pick([1_000, 50_000, 5_000_000]);
        let on = |on: bool, value: u32| if on { value } else { 0 };
        Self {
            crashes: on(limits.crashes, crashes),
            power_cuts,
            downtime,
            late: on(limits.reports, late),
            doubled: on(limits.reports, doubled),
            lost: on(limits.reports && limits.crashes, lost),
            clock_steps: if limits.clock { clock_steps } else { 0 },
            clock_after_turns: on(limits.clock, clock_after_turns),
            commit,
        }
    }
}
