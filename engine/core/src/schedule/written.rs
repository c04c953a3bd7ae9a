//! When a schedule is due, as its author wrote it: a timetable, or the words of one that cannot be read any more. Never
//! knows who wrote it, nor when.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::timetable::{Dst, Timetable};
use super::zone::Zone;

/// When a schedule is due, as its author wrote it. Cheap to clone: a hundred thousand schedules share theirs with the
/// folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Words", into = "Words")]
pub struct Written(Is);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Is {
    Due(Arc<Timetable>),
    Unreadable(Arc<Unreadable>),
}

/// What is no timetable in this version.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Unreadable {
    words: Words,
    why: String,
}

/// The words of the language.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Words {
    cron: String,
    timezone: String,
    #[serde(default)]
    dst: Dst,
}

impl Written {
    /// What was written. What passed the check is a timetable, unless a zone has left the database since.
    pub fn new(cron: impl Into<String>, timezone: impl Into<String>, dst: Dst) -> Self {
        Words { cron: cron.into(), timezone: timezone.into(), dst }.into()
    }

    /// The rule.
    pub fn cron(&self) -> &str {
        match &self.0 {
            Is::Due(timetable) => timetable.rule().text(),
            Is::Unreadable(it) => &it.words.cron,
        }
    }

    /// The zone's IANA name.
    pub fn timezone(&self) -> &str {
        match &self.0 {
            Is::Due(timetable) => timetable.zone().name(),
            Is::Unreadable(it) => &it.words.timezone,
        }
    }

    /// What becomes of times that a change of the clocks skips or repeats.
    pub fn dst(&self) -> Dst {
        match &self.0 {
            Is::Due(timetable) => timetable.dst(),
            Is::Unreadable(it) => it.words.dst,
        }
    }

    /// The timetable that it says.
    ///
    /// # Errors
    /// In words: the rule or the zone is none.
    pub fn timetable(&self) -> Result<&Arc<Timetable>, &str> {
        match &self.0 {
            Is::Due(timetable) => Ok(timetable),
            Is::Unreadable(it) => Err(&it.why),
        }
    }
}

impl From<Arc<Timetable>> for Written {
    fn from(timetable: Arc<Timetable>) -> Self {
        Self(Is::Due(timetable))
    }
}

impl From<Words> for Written {
    fn from(words: Words) -> Self {
        let rule = words.cron.parse().map_err(|fault| format!("{:?} is no cron rule: {fault}", words.cron));
        let zone = || Zone::named(&words.timezone).map_err(|fault| fault.to_string());
        Self(match rule.and_then(|rule| Ok(Timetable::new(rule, zone()?, words.dst))) {
            Ok(timetable) => Is::Due(Arc::new(timetable)),
            Err(why) => Is::Unreadable(Arc::new(Unreadable { words, why })),
        })
    }
}

impl From<Written> for Words {
    fn from(written: Written) -> Self {
        Self { cron: written.cron().to_owned(), timezone: written.timezone().to_owned(), dst: written.dst() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_as_it_was_written_whether_it_can_be_read_or_not() {
        for (cron, timezone, why) in [
            ("0 2 * * MON-fri", "Europe/Amsterdam", None),
            ("@daily", "US/Pacific", None),
            ("0 2 * * *", "Europe/Atlantis", Some("there is no time zone \"Europe/Atlantis\"")),
            ("0 25 * * *", "UTC", Some("\"0 25 * * *\" is no cron rule")),
        ] {
            let written = Written::new(cron, timezone, Dst::Twice);
            assert_eq!((written.cron(), written.timezone(), written.dst()), (cron, timezone, Dst::Twice));
            match (written.timetable(), why) {
                (Ok(_), None) => {}
                (Err(told), Some(why)) => assert!(told.starts_with(why), "{told}"),
                (told, _) => panic!("{cron} {timezone}: {told:?}"),
            }
            let json = serde_json::to_string(&written).unwrap();
            assert_eq!(json, format!(r#"{{"cron":"{cron}","timezone":"{timezone}","dst":"twice"}}"#));
            assert_eq!(serde_json::from_str::<Written>(&json).unwrap(), written);
        }
        let brief: Written = serde_json::from_str(r#"{"cron":"* * * * *","timezone":"UTC"}"#).unwrap();
        assert_eq!(brief, Written::new("* * * * *", "UTC", Dst::Cron));
    }
}
