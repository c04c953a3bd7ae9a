//! The daemon's configuration: a file, over it the environment, over it the flags. All errors at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use serde::Deserialize;

use crate::files;
use crate::secrets::SecretSource;

/// The configuration file, in bytes.
const FILE_BYTES: u64 = 1 << 20;
/// The bound on live attempts unless it is configured.
const PLACES: usize = 64;
/// The largest bound on live attempts.
const PLACES_MAX: usize = 10_000;
/// Finished runs kept unless it is configured.
const KEEP_RUNS: u64 = 100_000;
/// Days that finished runs are kept unless it is configured.
const KEEP_DAYS: u64 = 365;

/// `runbookd`: the daemon that runs a project's runbooks.
#[derive(Debug, Parser)]
#[command(
    name = "runbookd",
    version,
    about = "Runs a project's runbooks: durable runs, retries, checkpoints, a gRPC API.",
    after_help = "Without a command it serves the project until it is told to stop (SIGTERM, SIGINT).\n\
        Steps that run go on without it; the next start takes them up again.\n\n\
        Examples:\n  runbookd --project /srv/ops\n  runbookd check runbooks/\n"
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
    #[command(after_help = "Examples:\n  runbookd check runbooks/\n  runbookd check --output json backup.yaml\n")]
    Check {
        /// Files, or folders whose .yaml and .yml files are checked together.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// How findings are printed.
        #[arg(long, value_enum, default_value = "human")]
        output: Output,
        /// Warnings count as errors.
        #[arg(long)]
        strict: bool,
    },
    /// Explains a diagnostic code, or lists all.
    Explain {
        /// The code, as `check` prints it.
        code: Option<String>,
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
#[derive(Debug, Clone, Default, Parser)]
pub struct ServeArguments {
    /// The project's folder: the one that holds `runbooks/`.
    #[arg(long, env = "RUNBOOK_PROJECT", value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Where everything is kept [default: <project>/.runbook].
    #[arg(long, env = "RUNBOOK_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The configuration file [default: <project>/runbookd.yaml, if there is one].
    #[arg(long, env = "RUNBOOKD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The Unix socket [default: <data-dir>/runbookd.sock].
    #[arg(long, env = "RUNBOOKD_SOCKET", value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// How many attempts may run together [default: 64].
    #[arg(long, env = "RUNBOOKD_MAX_ATTEMPTS", value_name = "N")]
    pub max_attempts: Option<usize>,
    /// What is logged, as tracing-subscriber's EnvFilter reads it [default: info].
    #[arg(long, env = "RUNBOOKD_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// How it is logged [default: human on a terminal, json elsewhere].
    #[arg(long, env = "RUNBOOKD_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Prints `ready <socket>` to standard output once it answers, and then closes it.
    #[arg(long, hide = true)]
    pub announce: bool,
    /// Starts although the journal ends before its mark, which means that acknowledged events are lost.
    #[arg(long)]
    pub accept_lost_events: bool,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// A JSON object a line.
    Json,
}

/// The keys of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    data_dir: Option<PathBuf>,
    socket: Option<PathBuf>,
    max_attempts: Option<usize>,
    log: Option<String>,
    log_format: Option<LogFormat>,
    retention: Option<Retention>,
    secrets: BTreeMap<String, SecretSource>,
}

/// Which finished runs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
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
    /// The data directory, absolute.
    pub data_dir: PathBuf,
    /// The socket.
    pub socket: PathBuf,
    /// The bound on live attempts.
    pub max_attempts: usize,
    /// The log's filter.
    pub log: String,
    /// The log's format; by the terminal when it is not said.
    pub log_format: Option<LogFormat>,
    /// Which finished runs are kept.
    pub retention: Retention,
    /// Where secrets come from.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Whether to say that it is ready.
    pub announce: bool,
    /// Whether to start on a journal that was cut short.
    pub accept_lost_events: bool,
}

/// Everything that is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used:\n{}", .0.iter().map(|p| format!("  - {p}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// Puts flags, environment and file together.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(arguments: &ServeArguments) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let given = arguments.project.clone().unwrap_or_else(|| PathBuf::from("."));
        let project = match given.canonicalize() {
            Ok(project) if project.is_dir() => project,
            Ok(project) => {
                problems.push(format!("project: {} is no folder", project.display()));
                project
            }
            Err(error) => {
                problems.push(format!("project: {}: {error}", given.display()));
                given
            }
        };
        let file = read_file(arguments, &project, &mut problems);
        let data_dir = arguments.data_dir.clone().or(file.data_dir);
        let data_dir =
            absolute(&project, data_dir.unwrap_or_else(|| PathBuf::from(".runbook")), arguments.data_dir.is_some());
        let socket = arguments.socket.clone().or(file.socket).unwrap_or_else(|| crate::instance::socket(&data_dir));
        let max_attempts = arguments.max_attempts.or(file.max_attempts).unwrap_or(PLACES);
        if !(1..=PLACES_MAX).contains(&max_attempts) {
            problems.push(format!("max_attempts: {max_attempts} is not between 1 and {PLACES_MAX}"));
        }
        for (name, source) in &file.secrets {
            if source.env.is_some() == source.file.is_some() {
                problems.push(format!("secrets.{name}: give either `env` or `file`"));
            }
        }
        let log = arguments.log.clone().or(file.log).unwrap_or_else(|| "info".to_owned());
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&log) {
            problems.push(format!("log: {log:?}: {error}"));
        }
        if !problems.is_empty() {
            return Err(ConfigError(problems));
        }
        Ok(Self {
            project,
            data_dir,
            socket,
            max_attempts,
            log,
            log_format: arguments.log_format.or(file.log_format),
            retention: file.retention.unwrap_or_default(),
            secrets: file.secrets,
            announce: arguments.announce,
            accept_lost_events: arguments.accept_lost_events,
        })
    }
}

/// A path of a flag is relative to where the daemon was started, one of the file to the project.
fn absolute(project: &Path, path: PathBuf, flag: bool) -> PathBuf {
    if path.is_absolute() {
        return path;
    }
    if flag && let Ok(path) = std::path::absolute(&path) {
        return path;
    }
    project.join(path)
}

fn read_file(arguments: &ServeArguments, project: &Path, problems: &mut Vec<String>) -> File {
    let default = project.join("runbookd.yaml");
    let path = match &arguments.config {
        Some(path) => path,
        None if default.exists() => &default,
        None => return File::default(),
    };
    let read = || -> Result<File, String> {
        let bytes = files::read_bounded(path, FILE_BYTES).map_err(|e| e.to_string())?;
        let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        if text.trim().is_empty() {
            return Ok(File::default());
        }
        serde_yaml::from_str(&text).map_err(|e| e.to_string())
    };
    read().unwrap_or_else(|problem| {
        problems.push(format!("{}: {problem}", path.display()));
        File::default()
    })
}
