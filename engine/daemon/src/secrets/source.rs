//! Where one secret comes from, and how it is read from there. Clear text is in memory only, and in no error. Never knows
//! who asks.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::SECRET_BYTES;
use crate::files;
use crate::tool::{self, Answer, Fault};

/// How long a program may take to give a secret.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of a program's complaint is told, in bytes.
const COMPLAINT_BYTES: usize = 300;

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A variable of the daemon's environment.
    Env(String),
    /// A file that its owner alone can read.
    File(PathBuf),
    /// A file encrypted by age, and the file of the identity that opens it, which its owner alone can read.
    Age {
        /// The encrypted file.
        file: PathBuf,
        /// The file of the identity.
        identity: PathBuf,
    },
    /// A file encrypted by SOPS.
    Sops {
        /// The encrypted file.
        file: PathBuf,
        /// The way to the value in it; empty for the whole file.
        field: Vec<String>,
    },
    /// A field of a secret of Vault's key-value engine, version 2.
    Vault {
        /// Where the engine is mounted.
        mount: String,
        /// The secret's path below the mount.
        path: String,
        /// The field.
        field: String,
    },
    /// A version of a secret of Google's Secret Manager.
    Gcp {
        /// The secret's name.
        secret: String,
        /// Its project; `None` for that of the command's configuration.
        project: Option<String>,
        /// Its version.
        version: String,
        /// The field, where the value is a JSON object.
        field: Option<String>,
    },
    /// A secret of AWS Secrets Manager.
    Aws {
        /// The secret's name or ARN.
        secret: String,
        /// Its region; `None` for that of the command's configuration.
        region: Option<String>,
        /// The field, where the value is a JSON object.
        field: Option<String>,
    },
    /// What a program writes to its standard output.
    Exec {
        /// The program and its arguments.
        argv: Vec<String>,
        /// The folder that it is run in.
        folder: PathBuf,
    },
}

impl Source {
    /// Its key in the configuration.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Env(_) => "env",
            Self::File(_) => "file",
            Self::Age { .. } => "age",
            Self::Sops { .. } => "sops",
            Self::Vault { .. } => "vault",
            Self::Gcp { .. } => "gcp",
            Self::Aws { .. } => "aws",
            Self::Exec { .. } => "exec",
        }
    }

    /// Whether reading it may take long: a program is asked.
    pub const fn is_slow(&self) -> bool {
        !matches!(self, Self::Env(_) | Self::File(_))
    }

    /// Whether it comes over a network.
    pub const fn is_remote(&self) -> bool {
        matches!(self, Self::Vault { .. } | Self::Gcp { .. } | Self::Aws { .. })
    }

    /// Reads it now. One end of line at the end is taken off, but not from a variable.
    ///
    /// # Errors
    /// In words, without the value: what cannot be read, why, and what to do.
    pub fn read(&self) -> Result<String, String> {
        match self {
            Self::Env(variable) => std::env::var(variable)
                .map_err(|_| format!("it is to come from the variable {variable}, which the daemon does not have")),
            Self::File(path) => {
                let problem = |why: String| format!("it cannot be read from {}: {why}", path.display());
                private(path).map_err(problem)?;
                let bytes =
                    files::read_bounded(path, SECRET_BYTES as u64).map_err(|error| problem(error.to_string()))?;
                text(bytes).map_err(problem)
            }
            Self::Age { file, identity } => {
                private(identity)
                    .map_err(|why| format!("the identity {} cannot be used: {why}", identity.display()))?;
                let file = there(file)?;
                ask(&["age", "--decrypt", "--identity", &identity.to_string_lossy(), "--", &file], true)
            }
            Self::Sops { file, field } => {
                let file = there(file)?;
                let way: String = field.iter().map(|name| format!("[{}]", Value::from(name.as_str()))).collect();
                let mut argv = vec!["sops", "--decrypt"];
                if !way.is_empty() {
                    argv.extend(["--extract", &way]);
                }
                argv.push(&file);
                ask(&argv, true)
            }
            Self::Vault { mount, path, field } => {
                let (mount, field) = (format!("-mount={mount}"), format!("-field={field}"));
                ask(&["vault", "kv", "get", &mount, &field, path], true)
            }
            Self::Gcp { secret, project, version, field } => {
                let secret = format!("--secret={secret}");
                let project = project.as_ref().map(|project| format!("--project={project}"));
                let mut argv = vec!["gcloud", "secrets", "versions", "access", version, &secret, "--quiet"];
                argv.extend(project.as_deref());
                pick(ask(&argv, true)?, field.as_deref())
            }
            Self::Aws { secret, region, field } => {
                let mut argv = vec!["aws", "secretsmanager", "get-secret-value", "--secret-id", secret];
                argv.extend(["--query", "SecretString", "--output", "text"]);
                argv.extend(region.iter().flat_map(|region| ["--region", region]));
                pick(ask(&argv, true)?, field.as_deref())
            }
            // What a program of somebody else's complains about may hold what it knows.
            Self::Exec { argv, folder } => {
                let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
                ask_in(Some(folder), &argv, false)
            }
        }
    }
}

/// Refuses a file that others may read.
fn private(path: &Path) -> Result<(), String> {
    let meta = fs::metadata(path).map_err(|error| error.to_string())?;
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(format!("others may read it (mode {mode:o}); run: chmod 600 {}", path.display()))
}

/// The path of a file as an argument.
fn there(path: &Path) -> Result<String, String> {
    match fs::metadata(path) {
        Ok(_) => Ok(path.to_string_lossy().into_owned()),
        Err(error) => Err(format!("it cannot be read from {}: {error}", path.display())),
    }
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    let mut text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

fn ask(argv: &[&str], tells: bool) -> Result<String, String> {
    ask_in(None, argv, tells)
}

/// Asks a program, in a folder. What it complains about is told only where that is known to hold no secrets.
fn ask_in(folder: Option<&Path>, argv: &[&str], tells: bool) -> Result<String, String> {
    let (program, arguments) = argv.split_first().ok_or("there is no program to ask")?;
    let path = tool::find(program)
        .ok_or_else(|| format!("the program {program:?} is not on the daemon's PATH; install it"))?;
    let shown = if tells { argv.join(" ") } else { (*program).to_owned() };
    let problem = |why: String| format!("`{shown}` {why}; run it as the user of the daemon");
    let mut command = Command::new(path);
    command.args(arguments);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let answer = match tool::ask(&mut command, PATIENCE, SECRET_BYTES) {
        Ok(answer) => answer,
        Err(Fault::System(error)) => return Err(problem(format!("cannot be run: {error}"))),
        Err(Fault::TimedOut(after)) => return Err(problem(format!("was not done after {} s", after.as_secs()))),
        Err(Fault::TooLarge(limit)) => {
            return Err(problem(format!("gives more than {limit} bytes, which is the limit")));
        }
    };
    if answer.status.success() {
        return text(answer.out).map_err(problem);
    }
    let how = answer.status.code().map_or_else(|| "was killed".to_owned(), |code| format!("ended with code {code}"));
    Err(problem(if tells { format!("{how}{}", complaint(&answer)) } else { how }))
}

/// The last line of what a program complained about, behind a colon.
fn complaint(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.complaint);
    let Some(line) = text.lines().map(str::trim).rfind(|line| !line.is_empty()) else { return String::new() };
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    format!(": {}", &line[..line.floor_char_boundary(COMPLAINT_BYTES)])
}

/// A field of a JSON object, or all of it.
fn pick(text: String, field: Option<&str>) -> Result<String, String> {
    let Some(field) = field else { return Ok(text) };
    // The parser's own words would show a piece of the text.
    let Ok(Value::Object(mut object)) = serde_json::from_str(&text) else {
        return Err(format!("it is no JSON object, so that it has no field {field:?}"));
    };
    match object.remove(field) {
        Some(Value::String(text)) => Ok(text),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
        Some(_) => Err(format!("its field {field:?} is no text")),
        None => {
            let names: Vec<&str> = object.keys().map(String::as_str).collect();
            Err(format!("it has no field {field:?}, but {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(script: &str) -> Source {
        Source::Exec { argv: ["sh", "-c", script].map(str::to_owned).into(), folder: "/".into() }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        fs::write(&path, "value\n").unwrap();
        let source = Source::File(path.clone());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(source.read().unwrap_err().contains("chmod 600"));
        let sealed = Source::Age { file: path.clone(), identity: path.clone() };
        assert!(sealed.read().unwrap_err().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(source.read().unwrap(), "value");
        fs::write(&path, vec![b'x'; SECRET_BYTES + 1]).unwrap();
        assert!(source.read().unwrap_err().contains("the limit is 65536"));
    }

    #[test]
    fn a_program_gives_a_secret_or_says_nothing_of_it() {
        assert_eq!(exec("echo 'a b'").read().unwrap(), "a b");
        let problem = exec("echo open-sesame; echo open-sesame >&2; exit 3").read().unwrap_err();
        assert!(problem.ends_with("ended with code 3; run it as the user of the daemon"), "{problem}");
        let problem = exec("head -c 65537 /dev/zero").read().unwrap_err();
        assert!(problem.contains("more than 65536 bytes"), "{problem}");
        let problem =
            Source::Exec { argv: vec!["no-such-program-of-ours".into()], folder: "/".into() }.read().unwrap_err();
        assert!(problem.contains("install it"), "{problem}");
    }

    #[test]
    fn a_field_is_taken_out_of_an_object_without_showing_the_rest() {
        let object = || r#"{"user": "ann", "port": 5432, "more": {}}"#.to_owned();
        assert_eq!(pick(object(), Some("user")).as_deref(), Ok("ann"));
        assert_eq!(pick(object(), Some("port")).as_deref(), Ok("5432"));
        assert_eq!(pick(object(), None), Ok(object()));
        assert_eq!(pick(object(), Some("pass")).unwrap_err(), r#"it has no field "pass", but user, port, more"#);
        assert_eq!(pick(object(), Some("more")).unwrap_err(), r#"its field "more" is no text"#);
        assert!(!pick("sesame".into(), Some("x")).unwrap_err().contains("sesame"));
    }
}
