//! What protects an environment: who may start runs there, and when. Data, and what a time means for it; who asks is judged
//! elsewhere.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::schedule::Zone;
use crate::time::{Span, Timestamp};

/// What protects an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// Who may start runs has one of these roles; anybody when there are none. Schedules are nobody.
    #[serde(default)]
    pub roles: Vec<String>,
    /// What a person confirms who starts a run, in these words.
    #[serde(default)]
    pub confirm: Option<String>,
    /// When runs may be started; always when not set.
    #[serde(default)]
    pub hours: Option<Hours>,
    /// When none may be started, by name.
    #[serde(default)]
    pub freezes: IndexMap<String, Freeze>,
    /// Who may start one all the same has one of these roles.
    #[serde(default)]
    pub override_roles: Vec<String>,
    /// Who has to approve a start before its run begins; nobody when not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<Approvals>,
}

/// The persons who have to approve a start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approvals {
    /// Who may decide: whoever has one of these; everybody who reaches the daemon when empty.
    #[serde(default)]
    pub roles: Vec<String>,
    /// How many different persons have to approve.
    pub count: u32,
    /// Whether who asked for the start may not approve.
    #[serde(default)]
    pub not_requester: bool,
    /// How long they have; for ever when absent.
    #[serde(default)]
    pub timeout: Option<Span>,
}

/// A span of time in which nothing is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// From here on.
    pub from: Timestamp,
    /// Until here, which is free again.
    pub to: Timestamp,
    /// Why.
    pub reason: String,
}

/// Times of the week in which runs may be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// The zone of the clock that they are about, by its IANA name.
    pub timezone: String,
    /// The windows, each as it is written.
    pub allowed: Vec<Window>,
}

/// A window of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The days on which it opens, Sunday first.
    pub days: [bool; 7],
    /// The minute of the day in which it opens.
    pub from: u32,
    /// The first minute after it; of the next day, where that is not after `from`.
    pub to: u32,
    /// As it is written.
    pub text: String,
}

/// Why nothing may be started at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed<'p> {
    /// A freeze.
    Frozen(&'p str, &'p Freeze),
    /// It is outside of the hours.
    Hours(&'p Hours),
}

impl Protection {
    /// Whether somebody with these roles may start runs.
    pub fn lets_start(&self, roles: &[String]) -> bool {
        self.roles.is_empty() || self.roles.iter().any(|role| roles.contains(role))
    }

    /// Why nothing may be started at a time; `None` where it may.
    pub fn closed(&self, now: Timestamp) -> Option<Closed<'_>> {
        let frozen = self.freezes.iter().find(|(_, freeze)| freeze.from <= now && now < freeze.to);
        let frozen = frozen.map(|(name, freeze)| Closed::Frozen(name, freeze));
        frozen.or_else(|| self.hours.as_ref().filter(|hours| !hours.allow(now)).map(Closed::Hours))
    }
}

impl Hours {
    /// Whether runs may be started at a time.
    pub fn allow(&self, now: Timestamp) -> bool {
        // A zone that has left the database since the check allows nothing: nobody knows what was meant.
        let Ok(zone) = Zone::named(&self.timezone) else { return false };
        let (day, minute) = zone.wall(now);
        let before = (day + 6) % 7;
        let on = |window: &Window, day: u32| window.days.get(day as usize) == Some(&true);
        self.allowed.iter().any(|window| match window.from < window.to {
            true => on(window, day) && (window.from..window.to).contains(&minute),
            false => (on(window, day) && minute >= window.from) || (on(window, before) && minute < window.to),
        })
    }

    /// As they are written.
    pub fn text(&self) -> String {
        let windows: Vec<&str> = self.allowed.iter().map(|window| window.text.as_str()).collect();
        format!("{} ({})", windows.join(", "), self.timezone)
    }
}

impl std::fmt::Display for Closed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Frozen(name, freeze) => write!(f, "it is frozen until {} ({name}: {})", freeze.to, freeze.reason),
            Self::Hours(hours) => write!(f, "runs may be started {} only", hours.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[usize], from: u32, to: u32) -> Window {
        let mut on = [false; 7];
        days.iter().for_each(|day| on[*day] = true);
        Window { days: on, from: from * 60, to: to * 60, text: String::new() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn hours_are_those_of_the_clock_on_the_wall() {
        let hours = Hours {
            timezone: "Europe/Amsterdam".to_owned(),
            allowed: vec![window(&[1, 2, 3, 4, 5], 9, 17), window(&[6], 22, 2), window(&[0], 20, 24)],
        };
        for (time, allowed) in [
            // A Monday, in winter and in summer.
            ("2026-01-05T07:59:59Z", false),
            ("2026-01-05T08:00:00Z", true),
            ("2026-07-06T07:00:00Z", true),
            ("2026-07-06T15:00:00Z", false),
            // Saturday night, until two o'clock on Sunday.
            ("2026-01-10T20:59:00Z", false),
            ("2026-01-10T21:00:00Z", true),
            ("2026-01-11T00:59:59Z", true),
            ("2026-01-11T01:00:00Z", false),
            // Sunday until midnight.
            ("2026-01-11T22:59:00Z", true),
            ("2026-01-11T23:00:00Z", false),
        ] {
            assert_eq!(hours.allow(at(time)), allowed, "{time}");
        }
        assert!(!Hours { timezone: "Mars/Olympus".to_owned(), ..hours }.allow(at("2026-01-05T08:00:00Z")));
    }

    #[test]
    fn a_freeze_goes_from_one_time_to_another() {
        let freeze =
            Freeze { from: at("2026-12-20T00:00:00Z"), to: at("2027-01-04T00:00:00Z"), reason: "rest".to_owned() };
        let protection =
            Protection { freezes: [("year-end".to_owned(), freeze)].into_iter().collect(), ..Protection::default() };
        for (time, closed) in
            [("2026-12-19T23:59:59Z", false), ("2026-12-20T00:00:00Z", true), ("2027-01-04T00:00:00Z", false)]
        {
            assert_eq!(protection.closed(at(time)).is_some(), closed, "{time}");
        }
        let told = protection.closed(at("2026-12-25T00:00:00Z")).unwrap().to_string();
        assert_eq!(told, "it is frozen until 2027-01-04T00:00:00Z (year-end: rest)");
    }
}
