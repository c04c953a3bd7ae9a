//! `git/checkout`: one commit of a repository in a scratch folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use runbook_core::action::{DONE, FAILED, LATER};
use serde_json::Value;

use super::tool::{Ended, Tool, folder, killed};
use super::{Told, say};
use crate::inside::Done;

/// The file in a repository that tells that it was made here.
const MARK: &str = "runbook-scratch";

/// Fetches a revision, and puts what it holds into the folder.
pub(super) async fn checkout(told: &Told) -> Done {
    run(told).await.unwrap_or_else(|done| done)
}

async fn run(told: &Told) -> Result<Done, Done> {
    let path = folder(told, "path");
    let wrong = |error: std::io::Error| Done::with(FAILED, format!("with.path: {}: {error}", path.display()));
    std::fs::create_dir_all(&path).map_err(wrong)?;
    let own = take(&path).map_err(wrong)?;
    if !own {
        let message = format!(
            "{} holds something that no checkout put there, and it would be lost; name an empty folder, or one that is not there",
            path.display()
        );
        return Err(Done::with(FAILED, message));
    }
    let path = path.canonicalize().map_err(wrong)?;
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    // Where its repository is broken git would look for one further up, and find the project's.
    let mut env = vec![
        ("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned()),
        ("GIT_DIR".to_owned(), text(path.join(".git"))),
        ("GIT_WORK_TREE".to_owned(), text(path.clone())),
    ];
    if let Some(token) = told.text("token") {
        // By the environment: arguments are in the process list, and files stay behind.
        env.push(("GIT_CONFIG_COUNT".to_owned(), "1".to_owned()));
        env.push(("GIT_CONFIG_KEY_0".to_owned(), "http.extraHeader".to_owned()));
        env.push(("GIT_CONFIG_VALUE_0".to_owned(), format!("Authorization: Bearer {token}")));
    }
    let tool = Tool { program: "git".to_owned(), dir: path.clone(), env };
    unlock(&path.join(".git")).map_err(wrong)?;
    // It harms none that is there, and mends one that was left half-way.
    git(&tool, &["init", "--quiet"]).await?;
    let url = told.text("url").unwrap_or_default();
    let revision = told.text("ref").unwrap_or("HEAD");
    if revision.starts_with('-') || url.starts_with('-') {
        return Err(Done::with(FAILED, "`url` and `ref` begin with no dash"));
    }
    let depth = format!("--depth={}", told.whole("depth").unwrap_or(1));
    match git(&tool, &["fetch", "--quiet", "--no-tags", "--force", &depth, "--", url, revision]).await {
        Ok(_) => {}
        Err(done) if done.code == FAILED => {
            let short = (4..40).contains(&revision.len()) && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
            let hint = if short { "; a commit is named in full, by its 40 digits" } else { "" };
            let message = format!("{revision} of {url} cannot be fetched; the log has what git said{hint}");
            return Err(Done::with(LATER, message));
        }
        Err(done) => return Err(done),
    }
    git(&tool, &["checkout", "--quiet", "--force", "--detach", "FETCH_HEAD"]).await?;
    git(&tool, &["clean", "--quiet", "-ffdx"]).await?;
    let commit = git(&tool, &["rev-parse", "HEAD"]).await?;
    let subject = git(&tool, &["log", "-1", "--format=%s"]).await?;
    say(&format!("{commit} {subject}"));
    if let Some(wanted) = told.text("commit").filter(|wanted| *wanted != commit) {
        return Err(Done::with(FAILED, format!("{revision} is the commit {commit}, and {wanted} was wanted")));
    }
    let mut done = Done::with(DONE, "");
    for (name, value) in [("commit", commit), ("path", text(path)), ("subject", subject)] {
        done.outputs.insert(name.to_owned(), Value::from(value));
    }
    Ok(done)
}

/// Marks a folder as a scratch folder of checkouts, if nothing is in it that would be lost; says whether it is one.
fn take(path: &Path) -> std::io::Result<bool> {
    let (repository, mark) = (path.join(".git"), path.join(".git").join(MARK));
    if mark.exists() {
        return Ok(true);
    }
    // A repository of somebody's is none of ours, whatever it holds; one that is empty was begun here.
    let is_empty = |folder: &Path| std::fs::read_dir(folder).map(|mut entries| entries.next().is_none());
    let begun = repository.is_dir() && is_empty(&repository)? && std::fs::read_dir(path)?.count() == 1;
    if !begun && !is_empty(path)? {
        return Ok(false);
    }
    std::fs::create_dir_all(&repository)?;
    std::fs::write(mark, "What is in this folder goes with the next checkout of a runbook.\n")?;
    Ok(true)
}

/// Removes the locks that a git left which was killed. Nobody else works here: the step has the folder alone.
fn unlock(repository: &Path) -> std::io::Result<()> {
    for name in ["index.lock", "HEAD.lock", "shallow.lock", "config.lock"] {
        match std::fs::remove_file(repository.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

async fn git(tool: &Tool, words: &[&str]) -> Result<String, Done> {
    let arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
    match tool.output(&arguments).await? {
        (Ended::Exited(0), bytes) => Ok(String::from_utf8_lossy(&bytes).trim().to_owned()),
        (Ended::Exited(_), _) => {
            Err(Done::with(FAILED, format!("git {} failed; the log has what it said", words.first().unwrap_or(&""))))
        }
        (Ended::Killed(signal), _) => Err(killed("git", signal)),
    }
}
