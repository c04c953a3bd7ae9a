//! The configuration file: YAML, every key known, everything that is wrong with its line. Never knows flags.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use runbook_core::expression::did_you_mean;
use runbook_core::id::is_id;
use serde_yaml::{Mapping, Value};

use super::{KEEP_DAYS_RANGE, KEEP_RUNS_RANGE, LogFormat, PLACES_RANGE, Retention, filter, log_format, number};
use crate::files;
use crate::secrets::SecretSource;

/// The file, in bytes.
const FILE_BYTES: u64 = 64 << 10;

/// The keys of the file; those of a map behind a dot.
pub(super) const KEYS: [&str; 7] = ["data_dir", "socket", "max_attempts", "log", "log_format", "retention", "secrets"];
/// The keys of `retention`.
pub(super) const RETENTION_KEYS: [&str; 2] = ["runs", "days"];
/// The keys of each of `secrets`.
pub(super) const SECRET_KEYS: [&str; 2] = ["env", "file"];

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct File {
    pub data_dir: Option<PathBuf>,
    pub socket: Option<PathBuf>,
    pub max_attempts: Option<usize>,
    pub log: Option<String>,
    pub log_format: Option<LogFormat>,
    pub retention: Option<Retention>,
    pub secrets: BTreeMap<String, SecretSource>,
}

/// Reads the file. What is wrong in it goes to `problems`.
pub(super) fn read(path: &Path, project: &Path, problems: &mut Vec<String>) -> io::Result<File> {
    let bytes = files::read_bounded(path, FILE_BYTES)?;
    let shown = path.display().to_string();
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            problems.push(format!("{shown}: it is not UTF-8 at byte {}", error.utf8_error().valid_up_to()));
            return Ok(File::default());
        }
    };
    Ok(parse(&text, shown, project, problems))
}

fn parse(text: &str, shown: String, project: &Path, problems: &mut Vec<String>) -> File {
    let mut file = File::default();
    let root: Value = match serde_yaml::from_str(text) {
        Ok(root) => root,
        Err(error) => {
            problems.push(format!("{shown}: {error}"));
            return file;
        }
    };
    let mut reader = Reader { text, shown, problems };
    let Some(root) = reader.map(&[], &root, Some(&KEYS)) else { return file };
    for (key, value) in &root {
        let place = [key.as_str()];
        match key.as_str() {
            "data_dir" => file.data_dir = reader.text(&place, value).map(PathBuf::from),
            "socket" => file.socket = reader.text(&place, value).map(PathBuf::from),
            "max_attempts" => file.max_attempts = reader.number(&place, value, &PLACES_RANGE),
            "log" => {
                file.log = reader.text(&place, value);
                let text = file.log.clone();
                text.inspect(|text| reader.judge(&place, |what, problems| filter(what, text, problems)));
            }
            "log_format" => {
                let text = reader.text(&place, value);
                file.log_format =
                    text.and_then(|text| reader.judge(&place, |what, problems| log_format(what, &text, problems)));
            }
            "retention" => file.retention = Some(reader.retention(value)),
            "secrets" => file.secrets = reader.secrets(value, project),
            _ => {}
        }
    }
    file
}

struct Reader<'a> {
    text: &'a str,
    shown: String,
    problems: &'a mut Vec<String>,
}

impl Reader<'_> {
    /// Where a key stands, and which it is.
    fn what(&self, place: &[&str]) -> String {
        let key = if place.is_empty() { "the file".to_owned() } else { place.join(".") };
        match line_of(self.text, place) {
            Some(line) => format!("{}:{line}: {key}", self.shown),
            None => format!("{}: {key}", self.shown),
        }
    }

    fn problem(&mut self, place: &[&str], problem: &str) {
        let what = self.what(place);
        self.problems.push(format!("{what}: {problem}"));
    }

    fn judge<T>(&mut self, place: &[&str], judge: impl FnOnce(&str, &mut Vec<String>) -> T) -> T {
        let what = self.what(place);
        judge(&what, self.problems)
    }

    /// A map with names as keys; nothing at all is an empty one. Keys that are not known are told.
    fn map(&mut self, place: &[&str], value: &Value, known: Option<&[&str]>) -> Option<Vec<(String, Value)>> {
        let map = match value {
            Value::Null => &Mapping::new(),
            Value::Mapping(map) => map,
            other => {
                self.problem(place, &format!("it must be a map, and is {}", kind(other)));
                return None;
            }
        };
        let mut pairs = Vec::new();
        for (key, value) in map {
            let Some(name) = key.as_str() else {
                self.problem(place, &format!("its key {} is no name", shown(key)));
                continue;
            };
            if let Some(known) = known
                && !known.contains(&name)
            {
                let hint = did_you_mean(name, known.iter().copied());
                let hint = hint.map_or_else(
                    || format!("; there are {}", known.join(", ")),
                    |meant| format!("; did you mean `{meant}`?"),
                );
                let place: Vec<&str> = place.iter().copied().chain([name]).collect();
                self.problem(&place, &format!("there is no such key{hint}"));
                continue;
            }
            pairs.push((name.to_owned(), value.clone()));
        }
        Some(pairs)
    }

    fn text(&mut self, place: &[&str], value: &Value) -> Option<String> {
        match value {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::String(_) | Value::Null => {
                self.problem(place, "it is empty; write a value, or leave it out");
                None
            }
            other => {
                self.problem(place, &format!("it must be text, and is {}", kind(other)));
                None
            }
        }
    }

    fn number<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
        &mut self,
        place: &[&str],
        value: &Value,
        range: &std::ops::RangeInclusive<T>,
    ) -> Option<T> {
        let text = shown(value);
        self.judge(place, |what, problems| number(what, &text, range, problems))
    }

    fn retention(&mut self, value: &Value) -> Retention {
        let mut retention = Retention::default();
        for (key, value) in self.map(&["retention"], value, Some(&RETENTION_KEYS)).unwrap_or_default() {
            let place = ["retention", key.as_str()];
            let (range, kept) = match key.as_str() {
                "runs" => (KEEP_RUNS_RANGE, &mut retention.runs),
                _ => (KEEP_DAYS_RANGE, &mut retention.days),
            };
            if let Some(number) = self.number(&place, &value, &range) {
                *kept = number;
            }
        }
        retention
    }

    fn secrets(&mut self, value: &Value, project: &Path) -> BTreeMap<String, SecretSource> {
        let mut secrets = BTreeMap::new();
        for (name, value) in self.map(&["secrets"], value, None).unwrap_or_default() {
            let place = ["secrets", name.as_str()];
            if !is_id(&name) {
                self.problem(&place, "a secret's name has small letters, digits, _ and -, and begins with a letter");
                continue;
            }
            let mut source = SecretSource::default();
            for (key, value) in self.map(&place, &value, Some(&SECRET_KEYS)).unwrap_or_default() {
                let text = self.text(&["secrets", name.as_str(), key.as_str()], &value);
                match key.as_str() {
                    "env" => source.env = text,
                    _ => source.file = text.map(|path| project.join(path)),
                }
            }
            if source.env.is_some() == source.file.is_some() {
                self.problem(&place, "give either `env: VARIABLE` or `file: PATH`");
            }
            secrets.insert(name, source);
        }
        secrets
    }
}

/// A scalar as it was written, near enough.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(bool) => bool.to_string(),
        other => kind(other).to_owned(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a map",
        Value::Tagged(_) => "a tagged value",
    }
}

/// The line, from 1, of a key below the keys before it. The reader keeps no places, so the text is searched: `None`
/// where the key is written in a way that this does not find, as in a map on one line.
fn line_of(text: &str, place: &[&str]) -> Option<usize> {
    let mut lines = text.lines().enumerate();
    let mut found = None;
    for (depth, key) in place.iter().enumerate() {
        found = lines.find_map(|(index, line)| {
            let bare = line.trim_start();
            let indented = bare.len() < line.len();
            let rest = ["", "\"", "'"]
                .into_iter()
                .find_map(|quote| bare.strip_prefix(quote)?.strip_prefix(key)?.strip_prefix(quote))?;
            (rest.trim_start().starts_with(':') && indented == (depth > 0)).then_some(index + 1)
        });
        found?;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        parse(text, "f".to_owned(), Path::new("/p"), &mut problems);
        problems
    }

    #[test]
    fn everything_is_read() {
        let mut problems = Vec::new();
        let text = "data_dir: d\nsocket: /run/s\nmax_attempts: 3\nlog: debug\nlog_format: json\n\
            retention: {runs: 5}\nsecrets:\n  a: {env: A}\n  b-c: {file: s/b}\n";
        let file = parse(text, "f".to_owned(), Path::new("/p"), &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(file.data_dir.as_deref(), Some(Path::new("d")));
        assert_eq!(file.socket.as_deref(), Some(Path::new("/run/s")));
        assert_eq!((file.max_attempts, file.log.as_deref()), (Some(3), Some("debug")));
        assert_eq!(file.log_format, Some(LogFormat::Json));
        assert_eq!(file.retention, Some(Retention { runs: 5, ..Retention::default() }));
        assert_eq!(file.secrets["a"].env.as_deref(), Some("A"));
        assert_eq!(file.secrets["b-c"].file.as_deref(), Some(Path::new("/p/s/b")));
        assert!(self::problems("").is_empty() && self::problems("# nothing\n").is_empty());
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_line() {
        let text = "max_atempts: 3\nmax_attempts: many\nlog_format: xml\nlog: '???'\nretention:\n  runs: -1\n  dayz: 3\n\
            secrets:\n  A b: {env: X}\n  both: {env: X, file: y}\n  none:\n  odd:\n    env: 3\nzzz: 1\ndata_dir:\n";
        let expected = [
            "f:1: max_atempts: there is no such key; did you mean `max_attempts`?",
            "f:14: zzz: there is no such key; there are data_dir, socket, max_attempts, log, log_format, retention, secrets",
            "f:2: max_attempts: \"many\" is no whole number from 1 to 10000",
            "f:3: log_format: \"xml\" is neither human nor json",
            "f:4: log: \"???\": invalid filter directive; error, warn, info, debug and trace are levels",
            "f:7: retention.dayz: there is no such key; did you mean `days`?",
            "f:6: retention.runs: \"-1\" is no whole number from 0 to 10000000",
            "f:9: secrets.A b: a secret's name has small letters, digits, _ and -, and begins with a letter",
            "f:10: secrets.both: give either `env: VARIABLE` or `file: PATH`",
            "f:11: secrets.none: give either `env: VARIABLE` or `file: PATH`",
            "f:13: secrets.odd.env: it must be text, and is a number",
            "f:12: secrets.odd: give either `env: VARIABLE` or `file: PATH`",
            "f:15: data_dir: it is empty; write a value, or leave it out",
        ];
        assert_eq!(problems(text), expected);
    }

    #[test]
    fn what_is_no_map_of_keys_is_told() {
        assert_eq!(problems("[1]"), ["f: the file: it must be a map, and is a list"]);
        assert_eq!(problems("secrets: x"), ["f:1: secrets: it must be a map, and is text"]);
        assert_eq!(problems("1: x"), ["f: the file: its key 1 is no name"]);
        assert!(problems("log: a\nlog: b")[0].contains("duplicate"), "{:?}", problems("log: a\nlog: b"));
        assert!(problems("a: [")[0].starts_with("f: "));
    }
}
