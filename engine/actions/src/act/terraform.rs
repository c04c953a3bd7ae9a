//! `terraform/*`: terraform, or OpenTofu by its name, with what it says read from its JSON. Never forces a lock, never applies
//! but what was planned.

mod changes;
mod said;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use runbook_core::action::{DONE, FAILED};
use runbook_core::drift::Found;
use runbook_core::expression::did_you_mean;
use serde_json::{Map, Value, json};

use self::changes::{Change, changes, listed, sorted};
use self::said::Said;
use super::tool::{Ended, Tool, folder, killed};
use super::{Told, artifact, say};
use crate::accepted::{is_accepted, mark};
use crate::inside::Done;

/// The artifact that holds the plan.
const PLAN: &str = "plan";
/// The exit code of a plan that would change something.
const CHANGES: i32 = 2;

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Carries out one of the actions.
pub(super) async fn carry_out(what: &str, told: &Told) -> Done {
    let stack = Stack::new(told);
    if matches!(what, "plan" | "drift" | "apply" | "output" | "destroy")
        && let Err(done) = stack.has_workspace().await
    {
        return done;
    }
    let done = match what {
        "init" => stack.init().await,
        "validate" => stack.validate().await,
        "fmt" => stack.format().await,
        "plan" => stack.plan().await,
        "drift" => stack.drift().await,
        "apply" => stack.apply().await,
        "output" => stack.output().await,
        "destroy" => stack.destroy().await,
        _ => Err(Done::with(FAILED, format!("there is no action terraform/{what}"))),
    };
    done.unwrap_or_else(|done| done)
}

/// One stack: a folder of terraform, as one action is told to treat it.
struct Stack<'a> {
    told: &'a Told,
    tool: Tool,
}

impl<'a> Stack<'a> {
    fn new(told: &'a Told) -> Self {
        let mut env = vec![
            ("TF_IN_AUTOMATION".to_owned(), "1".to_owned()),
            ("TF_INPUT".to_owned(), "0".to_owned()),
            ("CHECKPOINT_DISABLE".to_owned(), "1".to_owned()),
        ];
        for (name, value) in told.value("vars").and_then(Value::as_object).into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            env.push((format!("TF_VAR_{name}"), text));
        }
        if told.text("workspace").is_some() {
            env.push(("TF_WORKSPACE".to_owned(), told.text("workspace").unwrap_or_default().to_owned()));
        }
        if told.text("plugin_cache").is_some() {
            let cache = folder(told, "plugin_cache");
            env.push(("TF_PLUGIN_CACHE_DIR".to_owned(), cache.to_string_lossy().into_owned()));
        }
        let program = told.text("program").unwrap_or("terraform").to_owned();
        Self { told, tool: Tool { program, dir: folder(told, "dir"), env } }
    }

    /// How the program is called by hand, in the same place.
    fn called(&self) -> String {
        let own = self.tool.env.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let around = |name: &'static str| std::env::var(name).ok().map(|value| (name, value));
        let of_place = own.chain(around("TF_DATA_DIR")).chain(around("TF_WORKSPACE"));
        let mut words: Vec<String> = Vec::new();
        for (name, value) in of_place.filter(|(name, _)| ["TF_DATA_DIR", "TF_WORKSPACE"].contains(name)) {
            // What the step says of the workspace goes before what is around it.
            if !words.iter().any(|word| word.starts_with(name)) {
                words.push(format!("{name}={}", quoted(&value)));
            }
        }
        words.push(quoted(&self.tool.program));
        words.push(format!("-chdir={}", quoted(&self.tool.dir.to_string_lossy())));
        words.join(" ")
    }

    fn arguments(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    /// Runs a command that speaks JSON line by line, and gives what it said with its exit code.
    async fn speak(&self, arguments: &[OsString]) -> Result<(i32, Said), Done> {
        let mut said = Said::default();
        match self.tool.lines(arguments, |line| said.line(line)).await? {
            Ended::Exited(code) => Ok((code, said)),
            Ended::Killed(signal) => Err(killed(&self.tool.program, signal)),
        }
    }

    /// Runs a command for its whole output.
    async fn ask(&self, arguments: &[OsString]) -> Result<(i32, Vec<u8>), Done> {
        match self.tool.output(arguments).await? {
            (Ended::Exited(code), bytes) => Ok((code, bytes)),
            (Ended::Killed(signal), _) => Err(killed(&self.tool.program, signal)),
        }
    }

    /// Whether the workspace is there that the step names: terraform would take a wrong name for that of a new and empty one.
    async fn has_workspace(&self) -> Result<(), Done> {
        let Some(wanted) = self.told.text("workspace").filter(|workspace| *workspace != "default") else {
            return Ok(());
        };
        let (code, bytes) = self.ask(&Self::arguments(&["workspace", "list"])).await?;
        if code != 0 {
            return Err(Done::with(
                FAILED,
                "its workspaces cannot be listed; is it initialised? The log has what it said",
            ));
        }
        let text = String::from_utf8_lossy(&bytes);
        let names =
            text.lines().map(|line| line.trim_start_matches(['*', ' ']).trim()).skip_while(|name| name.is_empty());
        // What else it says stands apart, behind an empty line.
        let all: Vec<&str> = names.take_while(|name| !name.is_empty()).collect();
        if all.contains(&wanted) {
            return Ok(());
        }
        let meant = did_you_mean(wanted, all.iter().copied()).map(|name| format!("; did you mean {name}?"));
        Err(Done::with(
            FAILED,
            format!(
                "there is no workspace {wanted}; there are {}{}; a step `uses: terraform/init` with `workspace` makes one",
                all.join(", "),
                meant.unwrap_or_default()
            ),
        ))
    }

    async fn init(&self) -> Result<Done, Done> {
        let _cache = self.lock_cache().map_err(unmade)?;
        let mut arguments = Self::arguments(&["init", "-input=false", "-no-color"]);
        for (name, value) in self.told.texts("backend") {
            arguments.push(format!("-backend-config={name}={value}").into());
        }
        for (key, flag) in [("upgrade", "-upgrade"), ("reconfigure", "-reconfigure")] {
            if self.told.flag(key) == Some(true) {
                arguments.push(flag.into());
            }
        }
        match self.tool.lines(&arguments, say).await? {
            Ended::Exited(0) => Ok(Done::with(DONE, "")),
            Ended::Exited(_) => Err(Done::with(FAILED, "it cannot be initialised; the log has what it said")),
            Ended::Killed(signal) => Err(killed(&self.tool.program, signal)),
        }
    }

    /// A cache of plugins must have one writer at a time.
    fn lock_cache(&self) -> io::Result<Option<File>> {
        if self.told.text("plugin_cache").is_none() {
            return Ok(None);
        }
        let cache = folder(self.told, "plugin_cache");
        let wrong = |error: io::Error| io::Error::other(format!("with.plugin_cache: {}: {error}", cache.display()));
        std::fs::create_dir_all(&cache).map_err(wrong)?;
        let file = File::create(cache.join(".runbook.lock")).map_err(wrong)?;
        file.lock().map_err(wrong)?;
        Ok(Some(file))
    }

    async fn validate(&self) -> Result<Done, Done> {
        let (_, bytes) = self.ask(&Self::arguments(&["validate", "-json"])).await?;
        let answer: Value = serde_json::from_slice(&bytes).map_err(|_| unreadable("validate"))?;
        let mut errors = Vec::new();
        for diagnostic in answer["diagnostics"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let place = match diagnostic["range"]["filename"].as_str() {
                Some(file) => format!("{file}:{}: ", diagnostic["range"]["start"]["line"]),
                None => String::new(),
            };
            let summary = text(&diagnostic["summary"]);
            say(&format!("{}: {place}{summary}: {}", text(&diagnostic["severity"]), text(&diagnostic["detail"])));
            if diagnostic["severity"] == "error" {
                errors.push(format!("{place}{summary}"));
            }
        }
        let warnings = answer["warning_count"].clone();
        match answer["valid"] == true {
            true => Ok(found([("warnings", warnings)])),
            false => Err(Done::with(FAILED, format!("it is not valid: {}", errors.join("; ")))),
        }
    }

    async fn format(&self) -> Result<Done, Done> {
        let (code, bytes) = self.ask(&Self::arguments(&["fmt", "-check", "-recursive", "-list=true"])).await?;
        let text = String::from_utf8_lossy(&bytes);
        let files: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        match (code, files.is_empty()) {
            (0, _) => Ok(Done::with(DONE, "")),
            (_, false) => {
                files.iter().for_each(|file| say(file));
                let help = "run `terraform fmt -recursive` there";
                Err(Done::with(FAILED, format!("not formatted: {}; {help}", files.join(", "))))
            }
            (_, true) => Err(Done::with(FAILED, "it cannot be formatted; the log has what it said")),
        }
    }

    /// Makes a plan at a path; what it would change.
    async fn make_plan(&self, path: &Path, destroy: bool) -> Result<Vec<Change>, Done> {
        let mut arguments = Self::arguments(&["plan", "-input=false", "-json", "-detailed-exitcode"]);
        let mut out = OsString::from("-out=");
        out.push(path);
        arguments.push(out);
        if destroy {
            arguments.push("-destroy".into());
        }
        let project = std::env::var_os("RUNBOOK_PROJECT").map_or_else(PathBuf::new, PathBuf::from);
        for file in self.told.list("var_files") {
            let mut argument = OsString::from("-var-file=");
            argument.push(project.join(file));
            arguments.push(argument);
        }
        if let Some(micros) = self.told.whole("lock_timeout") {
            arguments.push(format!("-lock-timeout={}s", micros / 1_000_000).into());
        }
        let (code, said) = self.speak(&arguments).await?;
        if !matches!(code, 0 | CHANGES) {
            return Err(said.failed(&self.tool.dir, &self.called()));
        }
        Ok(sorted(said.planned))
    }

    /// What a plan would change, with what differs of it: that is asked for, since the talk about it does not say it.
    async fn differences(&self, path: &Path) -> Result<Vec<Change>, Done> {
        let mut show = Self::arguments(&["show", "-json", "-no-color"]);
        show.push(path.into());
        let (code, bytes) = self.ask(&show).await?;
        let plan: Value = serde_json::from_slice(&bytes).map_err(|_| unreadable("show"))?;
        if code != 0 {
            return Err(Done::with(FAILED, "its own plan cannot be read; the log has what it said"));
        }
        Ok(changes(&plan))
    }

    async fn plan(&self) -> Result<Done, Done> {
        // In `verify` nobody keeps the plan.
        let kept = std::env::var_os("RUNBOOK_ARTIFACTS").is_some();
        let scratch = Scratch::new().map_err(unmade)?;
        let path = if kept { artifact(PLAN) } else { scratch.path.join(PLAN) };
        let changes = self.make_plan(&path, self.told.flag("destroy") == Some(true)).await?;
        let count = |action: &str| Value::from(changes.iter().filter(|change| change.action == action).count());
        let told = |change: &Change| json!({"address": change.address, "action": change.action});
        let (resources, left_out) = listed(&changes, told);
        let mut done = found([
            ("changes", Value::from(!changes.is_empty())),
            ("create", count("create")),
            ("update", count("update")),
            ("replace", count("replace")),
            ("delete", count("delete")),
            ("resources", resources),
            ("left_out", Value::from(left_out)),
        ]);
        if let Some(condition) = self.told.condition("happened") {
            let happened = condition.holds(&done.outputs).map_err(|problem| Done::with(FAILED, problem))?;
            // What is verified would have said how much it did. That it was done is known by now, and no more.
            done.outputs.extend(["added", "changed", "destroyed"].map(|name| (name.to_owned(), Value::from(0))));
            done.outputs.insert("happened".to_owned(), Value::from(if happened { "yes" } else { "no" }));
        }
        Ok(done)
    }

    async fn drift(&self) -> Result<Done, Done> {
        let mut done = self.look().await.unwrap_or_else(|done| done);
        // Also where it failed: so it is known of which stack nothing is known.
        done.outputs.insert("stack".to_owned(), Value::from(self.told.stack()));
        done.outputs.insert("workspace".to_owned(), Value::from(self.workspace()));
        Ok(done)
    }

    /// The workspace that terraform is in: where it looks for that itself.
    fn workspace(&self) -> String {
        if let Some(workspace) = self.told.text("workspace") {
            return workspace.to_owned();
        }
        if let Ok(workspace) = std::env::var("TF_WORKSPACE") {
            return workspace;
        }
        let data = std::env::var_os("TF_DATA_DIR").map_or_else(|| PathBuf::from(".terraform"), PathBuf::from);
        let chosen = std::fs::read_to_string(self.tool.dir.join(data).join("environment")).unwrap_or_default();
        let chosen = chosen.trim();
        if chosen.is_empty() { "default".to_owned() } else { chosen.to_owned() }
    }

    async fn look(&self) -> Result<Done, Done> {
        let scratch = Scratch::new().map_err(unmade)?;
        let plan = scratch.path.join(PLAN);
        self.make_plan(&plan, false).await?;
        let (changes, workspace) = (self.differences(&plan).await?, self.workspace());
        // Each with whether somebody accepted it.
        let differs = |Change { address, action, attributes, before }: Change| {
            let (action, mark) = (action.to_owned(), mark(self.told, &before));
            let it = Found { address, action, attributes, more: 0, mark };
            (is_accepted(self.told, &workspace, it.clone()), it)
        };
        let all: Vec<(bool, Found)> = changes.into_iter().map(differs).collect();
        for (known, it) in &all {
            let known = if *known { ", accepted" } else { "" };
            say(&format!("{} ({}{known}): {}", it.address, it.action, it.attributes.join(", ")));
        }
        let unaccepted = all.iter().filter(|(known, _)| !known).count();
        let told = |(known, it): &(bool, Found)| {
            let Found { address, action, attributes, mark, .. } = it;
            json!({"address": address, "action": action, "attributes": attributes, "accepted": known, "mark": mark})
        };
        let (resources, left_out) = listed(&all, told);
        Ok(found([
            ("drifted", Value::from(!all.is_empty())),
            ("unaccepted", Value::from(unaccepted)),
            ("resources", resources),
            ("left_out", Value::from(left_out)),
        ]))
    }

    async fn apply(&self) -> Result<Done, Done> {
        self.apply_plan(&folder(self.told, "plan")).await
    }

    async fn apply_plan(&self, plan: &Path) -> Result<Done, Done> {
        let mut arguments = Self::arguments(&["apply", "-input=false", "-json", "-auto-approve"]);
        if let Some(micros) = self.told.whole("lock_timeout") {
            arguments.push(format!("-lock-timeout={}s", micros / 1_000_000).into());
        }
        arguments.push(plan.into());
        let (code, said) = self.speak(&arguments).await?;
        if code != 0 {
            return Err(said.failed(&self.tool.dir, &self.called()));
        }
        let count = |key: &str| said.counts.get(key).cloned().unwrap_or_else(|| Value::from(0));
        Ok(found([("added", count("add")), ("changed", count("change")), ("destroyed", count("remove"))]))
    }

    async fn output(&self) -> Result<Done, Done> {
        let (code, bytes) = self.ask(&Self::arguments(&["output", "-json", "-no-color"])).await?;
        if code != 0 {
            return Err(Done::with(FAILED, "its outputs cannot be read; is it initialised? The log has what it said"));
        }
        let all: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|_| unreadable("output"))?;
        let (mut values, mut sensitive) = (Map::new(), Vec::new());
        for (name, output) in all {
            match output["sensitive"] == true {
                true => sensitive.push(Value::from(name)),
                false => drop(values.insert(name, output["value"].clone())),
            }
        }
        Ok(found([("values", Value::Object(values)), ("sensitive", Value::Array(sensitive))]))
    }

    async fn destroy(&self) -> Result<Done, Done> {
        let (_, bytes) = self.ask(&Self::arguments(&["workspace", "show"])).await?;
        let is = String::from_utf8_lossy(&bytes).trim().to_owned();
        let wanted = self.told.text("confirm_workspace").unwrap_or_default();
        if is != wanted {
            return Err(Done::with(
                FAILED,
                format!("the workspace is {is:?}, and `confirm_workspace` says {wanted:?}: nothing was destroyed"),
            ));
        }
        let scratch = Scratch::new().map_err(unmade)?;
        let plan = scratch.path.join(PLAN);
        let changes = self.make_plan(&plan, true).await?;
        if changes.is_empty() {
            return Ok(found([("destroyed", Value::from(0))]));
        }
        let mut done = self.apply_plan(&plan).await?;
        done.outputs.retain(|name, _| name == "destroyed");
        Ok(done)
    }
}

/// What is told where a file or folder of the action's own cannot be made.
fn unmade(error: io::Error) -> Done {
    Done::with(FAILED, error.to_string())
}

/// A folder that goes with the value; with the attempt, where we are killed before.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Beside what the attempt writes: a plan holds values in clear.
    fn new() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let output = std::env::var_os("RUNBOOK_OUTPUT").map(PathBuf::from);
        let folder = output.as_deref().and_then(Path::parent).map_or_else(std::env::temp_dir, Path::to_path_buf);
        let path = folder.join("plan");
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left goes with the attempt's folder.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn found<const N: usize>(outputs: [(&str, Value); N]) -> Done {
    let mut done = Done::with(DONE, "");
    done.outputs.extend(outputs.into_iter().map(|(name, value)| (name.to_owned(), value)));
    done
}

fn unreadable(command: &str) -> Done {
    Done::with(FAILED, format!("what `{command} -json` says cannot be read; the log may tell why"))
}
