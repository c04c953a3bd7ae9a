//! The daemon's configuration: flags over the environment over a file over the defaults. All errors at once, each with
//! where it came from. `docs/configuration.md` says the same to people; a test here keeps the two equal.

pub(crate) mod file;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Parser, Subcommand, ValueEnum as _};
use runbook_core::expression::did_you_mean;
use runbook_core::language::Configured;
use runbook_core::needs::Substitutes;

use crate::cron::CronCommand;
use crate::graph;
use crate::hooks::Hooks;
use crate::instance;
use crate::roles::Roles;
use crate::secrets::{Secret, Source};
use file::File;

/// The name of the configuration file in a project's folder.
pub const FILE_NAME: &str = "runbookd.yaml";
/// The data directory's name in a project's folder.
const DATA_FOLDER: &str = ".runbook";
/// The bound on live attempts unless it is configured.
const PLACES: usize = 64;
/// What that bound may be.
const PLACES_RANGE: RangeInclusive<usize> = 1..=10_000;
/// How many pools there may be.
const POOLS: usize = 1_000;
/// Finished runs kept unless it is configured.
const KEEP_RUNS: u64 = 100_000;
/// What that number may be.
const KEEP_RUNS_RANGE: RangeInclusive<u64> = 0..=10_000_000;
/// Days that finished runs are kept unless it is configured.
const KEEP_DAYS: u64 = 365;
/// What that number may be.
const KEEP_DAYS_RANGE: RangeInclusive<u64> = 1..=36_500;
/// What is logged unless it is configured.
const LOG: &str = "info";
/// The longest path of a socket, in bytes: the kernel takes no more.
const SOCKET_BYTES: usize = 107;
/// What the daemon's own variables begin with.
const VARIABLES: &str = "RUNBOOKD_";

/// `runbookd`: the daemon that runs a project's runbooks.
#[derive(Debug, Parser)]
#[command(
    name = "runbookd",
    version,
    about = "Runs a project's runbooks: durable runs, retries, checkpoints, a gRPC API.",
    long_about = "Runs a project's runbooks: durable runs, retries, checkpoints, a gRPC API.\n\n\
        Without a command it serves the project until it is told to stop (SIGTERM, SIGINT). Steps that run go on \
        without it; the next start takes them up again. `runbook` is the command line to it, and starts it by itself.",
    after_help = "A flag goes before its variable, that before the file's key, that before the default; --help says more.\n\n\
        Examples:\n  runbookd --project /srv/ops\n  runbookd check runbooks/\n",
    after_long_help = "A flag goes before its variable, the variable before the file's key, the key before the default. \
        The file is <project>/runbookd.yaml, if there is one:\n\n  \
        max_attempts: 16\n  \
        pools: {backups: 2}                   # attempts of steps with `pool: backups` that run together\n  \
        retention: {runs: 10000, days: 90}    # finished runs that are kept: so many, and so long\n  \
        secrets:\n    \
        pg_password: {file: /etc/runbook/pg_password}    # for its owner alone: chmod 600\n    \
        hook_token: {env: HOOK_TOKEN}                    # a variable of the daemon\n    \
        api_key: {vault: {path: api, field: key}}        # also age, sops, gcp, aws, exec\n\n\
        One daemon has a data directory at a time; a second one is refused with the first one's pid.\n\n\
        Exit codes: 0 told to stop; 1 it cannot start, or had to end (the disk is full); 2 the configuration is wrong.\n\n\
        Examples:\n  \
        runbookd --project /srv/ops\n  \
        runbookd --project /srv/ops --data-dir /var/lib/runbook --log runbookd=debug\n  \
        runbookd check runbooks/\n"
)]
pub struct Arguments {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of the daemon.
    #[command(flatten)]
    pub serve: ServeArguments,
}

/// What `runbookd` can do besides serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Checks runbook files without a daemon: exit 0 when they are good, 2 when they are not.
    #[command(after_help = "Examples:\n  runbookd check runbooks/\n  runbookd check --output json backup.yaml\n  \
        runbookd check --config runbookd.yaml runbooks/\n")]
    Check {
        /// Files, or folders whose .yaml and .yml files are checked together.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// The daemon's configuration, checked beside them: its keys, and the runbooks under `on:`.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// How findings are printed.
        #[arg(long, value_enum, default_value = "human")]
        output: Output,
        /// Warnings count as errors.
        #[arg(long)]
        strict: bool,
    },
    /// Draws a runbook file's graph, with conditions and effects.
    #[command(after_help = "Examples:\n  runbookd graph runbooks/backup.yaml\n  \
        runbookd graph runbooks/backup.yaml --format dot | dot -Tsvg > backup.svg\n")]
    Graph {
        /// The file.
        path: PathBuf,
        /// What is drawn: text, mermaid or dot.
        #[arg(long, value_enum, default_value = "text")]
        format: graph::Format,
    },
    /// Rehearses scenarios of runbooks without a daemon: exit 0 when all end as expected, 1 when not, 2 when a file is wrong.
    #[command(after_help = "Examples:\n  runbookd test runbooks/\n  \
        runbookd test runbooks/backup.yaml runbooks/backup.scenarios.yaml --output json\n")]
    Test {
        /// Files, or folders: runbooks, and files NAME.scenarios.yaml.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// How results are printed.
        #[arg(long, value_enum, default_value = "human")]
        output: Output,
    },
    /// Prints the JSON Schema of the language, for editors.
    #[command(
        after_help = "Examples:\n  runbookd schema > runbook.schema.json\n  runbookd schema --environment > environment.schema.json\n"
    )]
    Schema {
        /// That of files in `runbooks/environments`
        #[arg(long)]
        environment: bool,
    },
    /// Lists the actions that steps can use, or tells all of one.
    #[command(
        after_help = "Examples:\n  runbookd actions\n  runbookd actions http\n  runbookd actions http --output json\n"
    )]
    Actions {
        /// The action, such as http.
        name: Option<String>,
        /// How it is printed.
        #[arg(long, value_enum, default_value = "human")]
        output: Output,
    },
    /// Carries out an action in this process: what the daemon starts for one, never a person.
    #[command(hide = true)]
    Act {
        /// The action; what it is told comes by standard input.
        name: String,
    },
    /// Explains a diagnostic code, or lists all.
    Explain {
        /// The code, as `check` prints it.
        code: Option<String>,
    },
    /// Tells of cron rules without a daemon: when they are due, and what they say.
    Cron {
        /// What is asked.
        #[command(subcommand)]
        command: CronCommand,
    },
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Human,
    /// One JSON document.
    Json,
}

/// The flags of the daemon itself; each has a variable, and most a key in the file.
///
/// Numbers and words are taken as text, so that all that is wrong with them is told together.
#[derive(Debug, Clone, Default, Parser)]
pub struct ServeArguments {
    /// The project's folder: the one that holds `runbooks/` [default: the current folder].
    #[arg(long, env = "RUNBOOK_PROJECT", value_name = "DIR")]
    pub project: Option<OsString>,
    /// Where everything is kept [default: PROJECT/.runbook].
    #[arg(long, env = "RUNBOOK_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<OsString>,
    /// The configuration file [default: PROJECT/runbookd.yaml, if there is one].
    #[arg(long, env = "RUNBOOKD_CONFIG", value_name = "FILE")]
    pub config: Option<OsString>,
    /// The Unix socket [default: DATA/runbookd.sock].
    ///
    /// A data directory whose path is too long for a socket gets one below $XDG_RUNTIME_DIR, or below /tmp. Clients
    /// find both by themselves, and another socket by a link that the daemon puts in the first place; others than its own user
    /// have to be told.
    #[arg(long, env = "RUNBOOKD_SOCKET", value_name = "PATH")]
    pub socket: Option<OsString>,
    /// How many attempts may run together, 1 to 10000 [default: 64].
    ///
    /// A quarter of them is kept for what tidies up and for runs that a person started.
    #[arg(long, env = "RUNBOOKD_MAX_ATTEMPTS", value_name = "N")]
    pub max_attempts: Option<String>,
    /// Starts what is due by schedules. Without it schedules are shown, and nothing starts by itself.
    #[arg(long, env = "RUNBOOKD_SCHEDULES")]
    pub schedules: bool,
    /// What is logged: error, warn, info, debug or trace [default: info].
    ///
    /// Also per part of the program, as `warn,runbookd=debug` (the syntax of tracing-subscriber's EnvFilter). What the
    /// libraries underneath say below `warn` is left out unless they are named.
    #[arg(long, env = "RUNBOOKD_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// How it is logged: human or json [default: human on a terminal, json elsewhere].
    #[arg(long, env = "RUNBOOKD_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Prints `ready <socket>` to standard output once it answers, and then closes it.
    #[arg(long, hide = true)]
    pub announce: bool,
    /// Starts although the journal ends before its mark, which means that acknowledged events are lost.
    #[arg(long)]
    pub accept_lost_events: bool,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// A JSON object a line.
    Json,
}

/// Which finished runs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// At most so many.
    pub runs: u64,
    /// At most so long.
    pub days: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { runs: KEEP_RUNS, days: KEEP_DAYS }
    }
}

/// What the daemon goes by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The project's folder, absolute, without links.
    pub project: PathBuf,
    /// The data directory, absolute, without links as far as it is there.
    pub data_dir: PathBuf,
    /// The socket, absolute.
    pub socket: PathBuf,
    /// The bound on live attempts.
    pub max_attempts: usize,
    /// How many places each pool has.
    pub pools: BTreeMap<String, usize>,
    /// Which programs stand for those that actions usually run.
    pub programs: Substitutes,
    /// Whether what is due by schedules is started.
    pub schedules: bool,
    /// The log's filter.
    pub log: String,
    /// The log's format; by the terminal when it is not said.
    pub log_format: Option<LogFormat>,
    /// Which finished runs are kept.
    pub retention: Retention,
    /// Where secrets come from.
    pub secrets: BTreeMap<String, Secret>,
    /// The group whose members may use the socket too: a name or a gid.
    pub socket_group: Option<String>,
    /// Who has which role.
    pub roles: Roles,
    /// Which runbook hears of what.
    pub hooks: Hooks,
    /// Whether to say that it is ready.
    pub announce: bool,
    /// Whether to start on a journal that was cut short.
    pub accept_lost_events: bool,
    /// What a person should know about it and is no reason to refuse.
    pub warnings: Vec<String>,
}

/// Everything that is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
#[error(
    "the configuration cannot be used:\n{}\n`runbookd --help` shows every flag, variable and key",
    .0.iter().map(|p| format!("  - {p}")).collect::<Vec<_>>().join("\n")
)]
pub struct ConfigError(pub Vec<String>);

fn configured(pools: &BTreeMap<String, usize>, roles: &Roles) -> Configured {
    Configured { pools: pools.clone(), roles: roles.keys().cloned().collect() }
}

impl Config {
    /// What runbooks and environments may name of it.
    pub fn configured(&self) -> Configured {
        configured(&self.pools, &self.roles)
    }

    /// Puts flags, environment and file together.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(arguments: &ServeArguments) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let given = |value: &Option<OsString>, what: &str, problems: &mut Vec<String>| {
            let value = value.as_ref()?;
            if value.is_empty() {
                problems.push(format!("{what}: it is empty; name one, or leave it out"));
                return None;
            }
            Some(PathBuf::from(value))
        };
        let project = project(given(&arguments.project, "--project or RUNBOOK_PROJECT", &mut problems), &mut problems);
        let named = given(&arguments.config, "--config or RUNBOOKD_CONFIG", &mut problems);
        let file = read_file(named.as_deref(), &project, &mut problems);

        let data_dir = given(&arguments.data_dir, "--data-dir or RUNBOOK_DATA_DIR", &mut problems);
        let data_dir = place(data_dir, file.data_dir, &project).unwrap_or_else(|| project.join(DATA_FOLDER));
        let data_dir = instance::real(&data_dir).unwrap_or_else(|error| {
            problems.push(format!("data_dir: {}: {error}", data_dir.display()));
            data_dir
        });
        let socket = given(&arguments.socket, "--socket or RUNBOOKD_SOCKET", &mut problems);
        let socket = place(socket, file.socket, &project).unwrap_or_else(|| instance::socket(&data_dir));
        let length = socket.as_os_str().as_bytes().len();
        if length > SOCKET_BYTES {
            let shown = socket.display();
            problems.push(format!("socket: {shown} has {length} bytes, the system takes at most {SOCKET_BYTES}"));
        }

        if let (Some(group), true) = (&file.socket_group, socket.starts_with(&data_dir)) {
            problems.push(format!(
                "socket_group: the members of {group} cannot reach {}, since the data directory is closed to others; name \
                 a socket outside of it with `socket`",
                socket.display()
            ));
        }
        let flag = "--max-attempts or RUNBOOKD_MAX_ATTEMPTS";
        let max_attempts = arguments.max_attempts.as_ref();
        let max_attempts = max_attempts.and_then(|text| number(flag, text, &PLACES_RANGE, &mut problems));
        let flag = "--log-format or RUNBOOKD_LOG_FORMAT";
        let format = arguments.log_format.as_ref();
        let format = format.and_then(|text| log_format(flag, text, &mut problems));
        let log = arguments.log.clone().inspect(|text| filter("--log or RUNBOOKD_LOG", text, &mut problems));

        let mut warnings = Vec::new();
        let environment = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        unknown_variables(environment, &file.secrets, &mut warnings);
        if !problems.is_empty() {
            return Err(ConfigError(problems));
        }
        Ok(Self {
            project,
            data_dir,
            socket,
            max_attempts: max_attempts.or(file.max_attempts).unwrap_or(PLACES),
            pools: file.pools,
            programs: file.programs,
            schedules: arguments.schedules || file.schedules.unwrap_or(false),
            log: log.or(file.log).unwrap_or_else(|| LOG.to_owned()),
            log_format: format.or(file.log_format),
            retention: file.retention.unwrap_or_default(),
            secrets: file.secrets,
            socket_group: file.socket_group,
            roles: file.roles,
            hooks: file.hooks,
            announce: arguments.announce,
            accept_lost_events: arguments.accept_lost_events,
            warnings,
        })
    }
}

fn project(given: Option<PathBuf>, problems: &mut Vec<String>) -> PathBuf {
    let given = given.unwrap_or_else(|| PathBuf::from("."));
    match given.canonicalize() {
        Ok(project) if project.is_dir() => project,
        Ok(project) => {
            problems.push(format!("project: {} is no folder", project.display()));
            project
        }
        Err(error) => {
            problems.push(format!("project: {}: {error}", given.display()));
            given
        }
    }
}

fn read_file(named: Option<&Path>, project: &Path, problems: &mut Vec<String>) -> File {
    let default = project.join(FILE_NAME);
    let path = named.unwrap_or(&default);
    let found = file::read(path, project, problems);
    found.unwrap_or_else(|error| {
        // Only the file that was asked for must be there.
        if named.is_some() || error.kind() != io::ErrorKind::NotFound {
            problems.push(format!("{}: {error}", path.display()));
        }
        File::default()
    })
}

/// A path of a flag is relative to where the daemon was started, one of the file to the project.
fn place(flag: Option<PathBuf>, file: Option<PathBuf>, project: &Path) -> Option<PathBuf> {
    let flag = flag.map(|path| std::path::absolute(&path).unwrap_or(path));
    flag.or_else(|| file.map(|path| project.join(path)))
}

fn number<T: FromStr + PartialOrd + Display>(
    what: &str,
    text: &str,
    range: &RangeInclusive<T>,
    problems: &mut Vec<String>,
) -> Option<T> {
    let number = text.trim().parse().ok().filter(|number| range.contains(number));
    if number.is_none() {
        let (least, most) = (range.start(), range.end());
        problems.push(format!("{what}: {text:?} is no whole number from {least} to {most}"));
    }
    number
}

fn log_format(what: &str, text: &str, problems: &mut Vec<String>) -> Option<LogFormat> {
    let format = LogFormat::from_str(text.trim(), true).ok();
    if format.is_none() {
        problems.push(format!("{what}: {text:?} is neither human nor json"));
    }
    format
}

fn filter(what: &str, text: &str, problems: &mut Vec<String>) {
    let problem = match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) if text.trim().is_empty() => "it is empty".to_owned(),
        Ok(_) => return,
        Err(error) => error.to_string(),
    };
    problems.push(format!("{what}: {text:?}: {problem}; error, warn, info, debug and trace are levels"));
}

/// A variable that looks like ours and is none was meant to do something.
fn unknown_variables(
    names: impl Iterator<Item = String>,
    secrets: &BTreeMap<String, Secret>,
    warnings: &mut Vec<String>,
) {
    let known = variables();
    for name in names.filter(|name| name.starts_with(VARIABLES)) {
        let a_secret =
            secrets.values().any(|secret| secret.sources().any(|source| *source == Source::Env(name.clone())));
        if !a_secret && !known.contains(&name) {
            let hint = did_you_mean(&name, known.iter().map(String::as_str));
            let hint = hint.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            warnings.push(format!("the variable {name} means nothing to this daemon{hint}"));
        }
    }
}

/// The variables of the flags.
fn variables() -> Vec<String> {
    use clap::CommandFactory as _;
    let command = Arguments::command();
    let names = command.get_arguments().filter_map(|flag| flag.get_env());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests;
