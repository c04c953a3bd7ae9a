//! The configuration file: YAML by the readers of the language, every key known, everything that is wrong with its
//! line. Never knows flags.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use runbook_core::action;
use runbook_core::expression::did_you_mean;
use runbook_core::id::is_id;
use runbook_core::language::yaml::{self, Content, Value};
use runbook_core::language::{Code, Configured};
use runbook_core::needs::Substitutes;

use super::{KEEP_DAYS_RANGE, KEEP_RUNS_RANGE, LogFormat, PLACES_RANGE, POOLS, Retention, filter, log_format, number};
use crate::files;
use crate::hooks::{self, Hooks};
use crate::roles::{Members, Roles};
use crate::secrets::Secret;

pub(super) mod secrets;

/// The file, in bytes.
const FILE_BYTES: u64 = 64 << 10;

/// The keys of the file; those of a map behind a dot.
pub(super) const KEYS: [&str; 13] = [
    "data_dir",
    "socket",
    "socket_group",
    "max_attempts",
    "pools",
    "programs",
    "schedules",
    "log",
    "log_format",
    "retention",
    "secrets",
    "roles",
    "on",
];
/// The keys of `retention`.
pub(super) const RETENTION_KEYS: [&str; 2] = ["runs", "days"];
/// The keys of each of `roles`.
pub(super) const ROLE_KEYS: [&str; 2] = ["users", "groups"];

/// The keys of `on`.
pub(super) const HOOK_KEYS: [&str; 4] = hooks::KEYS;

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct File {
    pub data_dir: Option<PathBuf>,
    pub socket: Option<PathBuf>,
    pub max_attempts: Option<usize>,
    pub pools: BTreeMap<String, usize>,
    pub programs: Substitutes,
    pub schedules: Option<bool>,
    pub log: Option<String>,
    pub log_format: Option<LogFormat>,
    pub retention: Option<Retention>,
    pub secrets: BTreeMap<String, Secret>,
    pub socket_group: Option<String>,
    pub roles: Roles,
    pub hooks: Hooks,
    /// The lines of these.
    pub hook_lines: BTreeMap<hooks::Event, u32>,
}

/// What a check of the file finds.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// What is wrong, with its line.
    pub problems: Vec<(u32, String)>,
    /// Which runbook hears of what, with its line.
    pub hooks: Vec<(u32, hooks::Event, String)>,
    /// What runbooks and environments may name of it.
    pub configured: Configured,
}

/// Looks at a file that nobody goes by yet.
///
/// # Errors
/// It cannot be read.
pub(crate) fn look(path: &Path) -> io::Result<Looked> {
    let bytes = files::read_bounded(path, FILE_BYTES)?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let problem = format!("it is not UTF-8 at byte {}", error.utf8_error().valid_up_to());
            return Ok(Looked { problems: vec![(1, problem)], ..Looked::default() });
        }
    };
    let (file, problems) = lines(&text, &path.display().to_string(), path.parent().unwrap_or(path));
    let line = |event: &hooks::Event| file.hook_lines.get(event).copied().unwrap_or(1);
    let hooks = file.hooks.iter().map(|(event, name)| (line(event), *event, name.clone())).collect();
    let configured = super::configured(&file.pools, &file.roles);
    Ok(Looked { problems, hooks, configured })
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
    let (file, found) = lines(text, &shown, project);
    problems.extend(found.into_iter().map(|(line, problem)| format!("{shown}:{line}: {problem}")));
    file
}

/// The file, and what is wrong in it by its lines.
fn lines(text: &str, shown: &str, project: &Path) -> (File, Vec<(u32, String)>) {
    let (root, findings) = yaml::read(text, shown);
    let mut reader = Reader { problems: Vec::new() };
    // A file without anything in it is one that configures nothing.
    for finding in findings.iter().filter(|finding| finding.code != Code::EmptyDocument) {
        // What a runbook should be instead is no help here; how YAML is written is.
        let help = finding.help.as_ref().filter(|_| finding.code == Code::InvalidYaml);
        let help = help.map(|help| format!("; {help}")).unwrap_or_default();
        reader.problems.push((finding.line, format!("{}{help}", finding.message)));
    }
    let file = root.map(|root| reader.file(&root, project)).unwrap_or_default();
    let mut found = reader.problems;
    found.sort_by_key(|(line, _)| *line);
    (file, found)
}

/// A key with its name, where it stands, and its value.
struct Entry<'v> {
    name: &'v str,
    line: u32,
    value: &'v Value,
}

/// Collects what is wrong, each with its line.
struct Reader {
    problems: Vec<(u32, String)>,
}

impl Reader {
    fn problem(&mut self, line: u32, what: &str, problem: &str) {
        self.problems.push((line, format!("{what}: {problem}")));
    }

    fn judge<T>(&mut self, line: u32, judge: impl FnOnce(&mut Vec<String>) -> T) -> T {
        let mut found = Vec::new();
        let judged = judge(&mut found);
        self.problems.extend(found.into_iter().map(|problem| (line, problem)));
        judged
    }

    fn file(&mut self, root: &Value, project: &Path) -> File {
        let mut file = File::default();
        for entry in self.map(root.line, "the file", "", root, Some(&KEYS)).unwrap_or_default() {
            let Entry { name, line, value } = entry;
            match name {
                "data_dir" => file.data_dir = self.text(line, name, value).map(PathBuf::from),
                "socket" => file.socket = self.text(line, name, value).map(PathBuf::from),
                "max_attempts" => file.max_attempts = self.number(line, name, value, &PLACES_RANGE),
                "pools" => file.pools = self.pools(line, value),
                "programs" => file.programs = self.programs(line, value),
                "schedules" => file.schedules = self.boolean(line, name, value),
                "log" => {
                    file.log = self.text(line, name, value);
                    let text = file.log.clone();
                    text.inspect(|text| self.judge(line, |problems| filter(name, text, problems)));
                }
                "log_format" => {
                    let text = self.text(line, name, value);
                    file.log_format =
                        text.and_then(|text| self.judge(line, |problems| log_format(name, &text, problems)));
                }
                "retention" => file.retention = Some(self.retention(line, value)),
                "secrets" => file.secrets = self.secrets(line, value, project),
                "socket_group" => file.socket_group = self.name(line, name, value),
                "roles" => file.roles = self.roles(line, value),
                "on" => (file.hooks, file.hook_lines) = self.hooks(line, value),
                _ => {}
            }
        }
        file
    }

    /// A map with names as keys; nothing at all is an empty one. Keys that are not known are told, each with what
    /// stands before its name.
    fn map<'v>(
        &mut self,
        line: u32,
        what: &str,
        before: &str,
        value: &'v Value,
        known: Option<&[&str]>,
    ) -> Option<Vec<Entry<'v>>> {
        let entries = match &value.content {
            Content::Nothing => return Some(Vec::new()),
            Content::Map(entries) => entries,
            other => {
                self.problem(line, what, &format!("it must be a map, and is {}", kind(other)));
                return None;
            }
        };
        let mut found = Vec::new();
        for (key, value) in entries {
            let Content::Text(name) = &key.content else {
                self.problem(key.line, what, &format!("its key {} is no name", shown(&key.content)));
                continue;
            };
            if let Some(known) = known
                && !known.contains(&name.as_str())
            {
                let hint = did_you_mean(name, known.iter().copied());
                let hint = hint.map_or_else(
                    || format!("; there are {}", known.join(", ")),
                    |meant| format!("; did you mean `{meant}`?"),
                );
                self.problem(key.line, &format!("{before}{name}"), &format!("there is no such key{hint}"));
                continue;
            }
            found.push(Entry { name, line: key.line, value });
        }
        Some(found)
    }

    fn text(&mut self, line: u32, what: &str, value: &Value) -> Option<String> {
        match &value.content {
            Content::Text(text) if !text.is_empty() => Some(text.clone()),
            Content::Text(_) | Content::Nothing => {
                self.problem(line, what, "it is empty; write a value, or leave it out");
                None
            }
            other => {
                self.problem(line, what, &format!("it must be text, and is {}", kind(other)));
                None
            }
        }
    }

    fn boolean(&mut self, line: u32, what: &str, value: &Value) -> Option<bool> {
        let Content::Boolean(text) = &value.content else {
            self.problem(line, what, &format!("it must be true or false, and is {}", kind(&value.content)));
            return None;
        };
        Some(text.eq_ignore_ascii_case("true"))
    }

    fn number<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
        &mut self,
        line: u32,
        what: &str,
        value: &Value,
        range: &std::ops::RangeInclusive<T>,
    ) -> Option<T> {
        self.judge(line, |problems| number(what, shown(&value.content), range, problems))
    }

    fn pools(&mut self, line: u32, value: &Value) -> BTreeMap<String, usize> {
        let mut pools = BTreeMap::new();
        let entries = self.map(line, "pools", "", value, None).unwrap_or_default();
        if entries.len() > POOLS {
            self.problem(line, "pools", &format!("there are {} pools; the limit is {POOLS}", entries.len()));
        }
        for Entry { name, line, value } in entries {
            let what = format!("pools.{name}");
            if !is_id(name) {
                let problem = "a pool's name has small letters, digits, _ and -, and begins with a letter";
                self.problem(line, &what, problem);
            } else if let Some(places) = self.number(line, &what, value, &PLACES_RANGE) {
                pools.insert(name.to_owned(), places);
            }
        }
        pools
    }

    fn programs(&mut self, line: u32, value: &Value) -> Substitutes {
        let mut programs = Substitutes::new();
        let entries = self.map(line, "programs", "programs.", value, Some(&action::programs()));
        for Entry { name, line, value } in entries.unwrap_or_default() {
            let what = format!("programs.{name}");
            let Some(program) = self.text(line, &what, value) else { continue };
            // A relative path would be another program in each folder.
            if program.contains(|c: char| c.is_whitespace() || c.is_control())
                || (program.contains('/') && !program.starts_with('/'))
            {
                let problem = format!("{program:?} is neither the name of a program on PATH nor an absolute path");
                self.problem(line, &what, &problem);
            } else {
                programs.insert(name.to_owned(), program);
            }
        }
        programs
    }

    fn retention(&mut self, line: u32, value: &Value) -> Retention {
        let mut retention = Retention::default();
        let entries = self.map(line, "retention", "retention.", value, Some(&RETENTION_KEYS));
        for Entry { name, line, value } in entries.unwrap_or_default() {
            let (range, kept) = match name {
                "runs" => (KEEP_RUNS_RANGE, &mut retention.runs),
                _ => (KEEP_DAYS_RANGE, &mut retention.days),
            };
            if let Some(number) = self.number(line, &format!("retention.{name}"), value, &range) {
                *kept = number;
            }
        }
        retention
    }

    /// A name, or a number that stands for one.
    fn name(&mut self, line: u32, what: &str, value: &Value) -> Option<String> {
        let text = shown(&value.content);
        match &value.content {
            Content::Text(_) | Content::Nothing | Content::List(_) | Content::Map(_) => self.text(line, what, value),
            _ if text.parse::<u32>().is_ok() => Some(text.to_owned()),
            _ => {
                self.problem(line, what, &format!("{text} is neither a name nor the number of a user or group"));
                None
            }
        }
    }

    fn roles(&mut self, line: u32, value: &Value) -> Roles {
        let mut roles = Roles::new();
        for Entry { name: role, line, value } in self.map(line, "roles", "", value, None).unwrap_or_default() {
            let what = format!("roles.{role}");
            if !is_id(role) {
                let problem = "a role's name has small letters, digits, _ and -, and begins with a letter";
                self.problem(line, &what, problem);
                continue;
            }
            let before = self.problems.len();
            let mut members = Members::default();
            let entries = self.map(line, &what, &format!("{what}."), value, Some(&ROLE_KEYS));
            for Entry { name: key, line, value } in entries.unwrap_or_default() {
                let what = format!("{what}.{key}");
                let Content::List(items) = &value.content else {
                    let problem = format!("it must be a list of names, and is {}", kind(&value.content));
                    self.problem(line, &what, &problem);
                    continue;
                };
                let names = items.iter().filter_map(|item| self.name(item.line, &what, item)).collect();
                match key {
                    "users" => members.users = names,
                    _ => members.groups = names,
                }
            }
            if members == Members::default() && self.problems.len() == before {
                self.problem(line, &what, "nobody has it: give `users` or `groups`");
            }
            roles.insert(role.to_owned(), members);
        }
        roles
    }

    fn hooks(&mut self, line: u32, value: &Value) -> (Hooks, BTreeMap<hooks::Event, u32>) {
        let (mut hooks, mut lines) = (Hooks::new(), BTreeMap::new());
        for Entry { name, line, value } in self.map(line, "on", "on.", value, Some(&HOOK_KEYS)).unwrap_or_default() {
            let what = format!("on.{name}");
            let Some(runbook) = self.text(line, &what, value) else { continue };
            if !is_id(&runbook) {
                let problem =
                    format!("{runbook:?} is no runbook's name: small letters, digits, _ and -, a letter first");
                self.problem(line, &what, &problem);
            } else if let Some((_, event)) = hooks::EVENTS.iter().find(|(key, _)| *key == name) {
                hooks.insert(*event, runbook);
                lines.insert(*event, line);
            }
        }
        (hooks, lines)
    }
}

/// A scalar as it was written.
fn shown(content: &Content) -> &str {
    match content {
        Content::Text(text) | Content::Number(text) | Content::Boolean(text) => text,
        other => kind(other),
    }
}

fn kind(content: &Content) -> &'static str {
    match content {
        Content::Nothing => "nothing",
        Content::Boolean(_) => "true or false",
        Content::Number(_) => "a number",
        Content::Text(_) => "text",
        Content::List(_) => "a list",
        Content::Map(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Source;

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
        assert_eq!(file.secrets["a"].source, Some(Source::Env("A".to_owned())));
        assert_eq!(file.secrets["b-c"].source, Some(Source::File("/p/s/b".into())));
        assert!(self::problems("").is_empty() && self::problems("# nothing\n").is_empty());
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_line() {
        let text = "max_atempts: 3\nmax_attempts: many\nlog_format: xml\nlog: '???'\nretention:\n  runs: -1\n  dayz: 3\n\
            secrets:\n  A b: {env: X}\n  both: {env: X, file: y}\n  none:\n  odd:\n    env: 3\nzzz: 1\ndata_dir:\n";
        let expected = [
            "f:1: max_atempts: there is no such key; did you mean `max_attempts`?",
            "f:2: max_attempts: \"many\" is no whole number from 1 to 10000",
            "f:3: log_format: \"xml\" is neither human nor json",
            "f:4: log: \"???\": invalid filter directive; error, warn, info, debug and trace are levels",
            "f:6: retention.runs: \"-1\" is no whole number from 0 to 10000000",
            "f:7: retention.dayz: there is no such key; did you mean `days`?",
            "f:9: secrets.A b: a secret's name has small letters, digits, _ and -, and begins with a letter",
            "f:10: secrets.both: give one of env, file, age, sops, vault, gcp, aws, exec, such as `file: PATH`, and no other of them",
            "f:11: secrets.none: give one of env, file, age, sops, vault, gcp, aws, exec, such as `file: PATH`, and no other of them",
            "f:13: secrets.odd.env: it must be text, and is a number",
            "f:14: zzz: there is no such key; there are data_dir, socket, socket_group, max_attempts, pools, programs, schedules, log, log_format, retention, secrets, roles, on",
            "f:15: data_dir: it is empty; write a value, or leave it out",
        ];
        assert_eq!(problems(text), expected);
    }

    #[test]
    fn a_key_twice_and_maps_on_one_line_hide_nothing() {
        let text =
            "max_attempts: 3\nmax_attempts: x\nretention: {runs: -1, days: x}\nsecrets:\n  c: 3\n  \"d\": {fil: x}\n";
        let expected = [
            "f:2: the key `max_attempts` is there already",
            "f:2: max_attempts: \"x\" is no whole number from 1 to 10000",
            "f:3: retention.runs: \"-1\" is no whole number from 0 to 10000000",
            "f:3: retention.days: \"x\" is no whole number from 1 to 36500",
            "f:5: secrets.c: it must be a map, and is a number",
            "f:6: secrets.d.fil: there is no such key; did you mean `file`?",
        ];
        assert_eq!(problems(text), expected);
    }

    #[test]
    fn roles_are_read_and_what_is_wrong_with_them_is_told() {
        let mut none = Vec::new();
        let text = "socket_group: 300\nroles: {dba: {users: [ann, 1004], groups: [dba]}}";
        let file = parse(text, "f".to_owned(), Path::new("/p"), &mut none);
        assert_eq!((none, file.socket_group.as_deref()), (Vec::new(), Some("300")));
        let members = &file.roles["dba"];
        assert_eq!((members.users.join(" "), members.groups.join(" ")), ("ann 1004".to_owned(), "dba".to_owned()));
        assert_eq!(
            problems("roles:\n  DBA: {users: [a]}\n  b: {}\n  c: {users: x}\n  d: {groups: [[], 1.5], more: 1}"),
            [
                "f:2: roles.DBA: a role's name has small letters, digits, _ and -, and begins with a letter",
                "f:3: roles.b: nobody has it: give `users` or `groups`",
                "f:4: roles.c.users: it must be a list of names, and is text",
                "f:5: roles.d.more: there is no such key; there are users, groups",
                "f:5: roles.d.groups: it must be text, and is a list",
                "f:5: roles.d.groups: 1.5 is neither a name nor the number of a user or group",
            ]
        );
    }

    #[test]
    fn programs_stand_for_those_of_actions_that_can_be_named() {
        let mut none = Vec::new();
        let file = parse("programs: {terraform: /opt/bin/tofu}", "f".to_owned(), Path::new("/p"), &mut none);
        assert_eq!((none, file.programs["terraform"].as_str()), (Vec::new(), "/opt/bin/tofu"));
        assert_eq!(
            problems("programs:\n  git: jj\n  terraform: bin/tofu\n  terrafrom: tofu"),
            [
                "f:2: programs.git: there is no such key; there are terraform",
                "f:3: programs.terraform: \"bin/tofu\" is neither the name of a program on PATH nor an absolute path",
                "f:4: programs.terrafrom: there is no such key; did you mean `terraform`?",
            ]
        );
    }

    #[test]
    fn hooks_are_names_of_runbooks() {
        let mut problems = Vec::new();
        let file = parse("on: {failed: tell, overdue: page}\n", "f".to_owned(), Path::new("/p"), &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let expected = [(hooks::Event::Failed, "tell".to_owned()), (hooks::Event::Overdue, "page".to_owned())];
        assert_eq!(file.hooks, Hooks::from(expected));
        let found = self::problems("on:\n  faild: tell\n  attention: No Name\n  approval: [a]\n");
        assert_eq!(
            found,
            [
                "f:2: on.faild: there is no such key; did you mean `failed`?",
                "f:3: on.attention: \"No Name\" is no runbook's name: small letters, digits, _ and -, a letter first",
                "f:4: on.approval: it must be text, and is a list",
            ]
        );
    }

    #[test]
    fn what_is_no_map_of_keys_is_told() {
        assert_eq!(problems("[1]"), ["f:1: the file: it must be a map, and is a list"]);
        assert_eq!(problems("\nsecrets: x"), ["f:2: secrets: it must be a map, and is text"]);
        assert_eq!(problems("log: a\n1: x"), ["f:2: the file: its key 1 is no name"]);
        let syntax = problems("log: a\nb: [\n");
        assert!(syntax.len() == 1 && syntax[0].starts_with("f:2: the file is not YAML: "), "{syntax:?}");
        assert_eq!(problems("log: a\n---\nlog: b\n"), ["f:2: a second YAML document begins here"]);
    }
}
