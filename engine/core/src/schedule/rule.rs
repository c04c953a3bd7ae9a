//! A rule of crontab(5) as it was read: which minutes, hours and days it names. What it means is in `docs/schedules.md`.
//! Never knows zones or instants.

use std::fmt;
use std::str::FromStr;

use super::parse::{self, RuleFault};

/// When something is due, by the rules of crontab(5): five fields, or `@daily` and its like.
///
/// ```
/// # use runbook_core::schedule::Rule;
/// let rule: Rule = "0 2 * * mon-fri".parse().unwrap();
/// assert!(!rule.follows_real_time() && !rule.never());
/// assert_eq!("0 2 * * 8".parse::<Rule>().unwrap_err().column("0 2 * * 8"), 9);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    pub(super) text: String,
    /// Bits 0 to 59.
    pub(super) minutes: u64,
    /// Bits 0 to 23.
    pub(super) hours: u32,
    /// Bits 1 to 31.
    pub(super) days: u32,
    /// Bits 1 to 12.
    pub(super) months: u32,
    /// Bits 0 (Sunday) to 6.
    pub(super) weekdays: u32,
    pub(super) joined: Days,
    pub(super) real_time: bool,
}

/// How the two fields of days are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Days {
    /// One of them begins with `*`: a day has to be in both.
    Both,
    /// Neither does: a day in one of them is enough.
    Either,
}

impl Rule {
    /// As its author wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the field of minutes or that of hours begins with `*`: such a rule means "every so often" and not a time
    /// of the day, so it follows the time that really passes when clocks are changed.
    pub const fn follows_real_time(&self) -> bool {
        self.real_time
    }

    /// How its two fields of days are joined.
    pub const fn joined(&self) -> Days {
        self.joined
    }
}

impl FromStr for Rule {
    type Err = RuleFault;

    fn from_str(text: &str) -> Result<Self, RuleFault> {
        parse::parse(text)
    }
}

impl fmt::Display for Rule {
    /// As its author wrote it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
