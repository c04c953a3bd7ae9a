//! Precedence and errors of the whole configuration, and the page that people read.

use std::path::Path;

use clap::{CommandFactory as _, Parser as _};

use super::*;

fn load(project: &Path, flags: &[&str]) -> Result<Config, String> {
    let project = project.to_str().unwrap();
    let all = ["runbookd", "--project", project].into_iter().chain(flags.iter().copied());
    let arguments = Arguments::try_parse_from(all).unwrap();
    Config::load(&arguments.serve).map_err(|error| error.to_string())
}

#[test]
fn a_flag_goes_before_the_file_and_that_before_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().canonicalize().unwrap();
    let none = load(&project, &[]).unwrap();
    assert_eq!((none.max_attempts, none.log.as_str(), none.log_format), (PLACES, LOG, None));
    assert_eq!(none.data_dir, project.join(".runbook"));
    assert_eq!(none.socket, project.join(".runbook/runbookd.sock"));
    std::fs::write(
        project.join("runbookd.yaml"),
        "max_attempts: 3\npools: {disks: 2}\nlog: warn\ndata_dir: data\nsocket: s\n",
    )
    .unwrap();
    let file = load(&project, &[]).unwrap();
    assert_eq!((file.max_attempts, file.log.as_str()), (3, "warn"));
    assert_eq!(file.pools, BTreeMap::from([("disks".to_owned(), 2)]));
    assert_eq!((file.data_dir, file.socket), (project.join("data"), project.join("s")));
    let flags = load(&project, &["--max-attempts", "4", "--data-dir", "/tmp/x", "--socket", "/tmp/y"]).unwrap();
    assert_eq!((flags.max_attempts, flags.log.as_str()), (4, "warn"));
    assert_eq!((flags.data_dir.as_path(), flags.socket.as_path()), (Path::new("/tmp/x"), Path::new("/tmp/y")));
    let relative = load(&project, &["--socket", "y"]).unwrap();
    assert_eq!(relative.socket, std::env::current_dir().unwrap().join("y"));
}

#[test]
fn a_link_to_the_data_directory_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().canonicalize().unwrap();
    std::fs::create_dir(project.join("real")).unwrap();
    std::os::unix::fs::symlink("real", project.join(".runbook")).unwrap();
    assert_eq!(load(&project, &[]).unwrap().data_dir, project.join("real"));
    assert_eq!(load(&project, &["--data-dir", "/proc/self/exe/x/y"]).unwrap_err().matches("data_dir").count(), 1);
}

#[test]
fn all_errors_come_at_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("runbookd.yaml"), "max_attempts: 0\nretension: {}\npools: {Disks: 2, api: 0}\n")
        .unwrap();
    let long = format!("/tmp/{}", "s".repeat(120));
    let flags = ["--max-attempts", "x", "--log-format", "xml", "--log", "a=b=c", "--data-dir", "", "--socket", &long];
    let error = load(folder.path(), &flags).unwrap_err();
    for part in [
        "runbookd.yaml:1: max_attempts: \"0\" is no whole number from 1 to 10000",
        "runbookd.yaml:2: retension: there is no such key; did you mean `retention`?",
        "runbookd.yaml:3: pools.Disks: a pool's name has small letters, digits, _ and -, and begins with a letter",
        "runbookd.yaml:3: pools.api: \"0\" is no whole number from 1 to 10000",
        "--max-attempts or RUNBOOKD_MAX_ATTEMPTS: \"x\" is no whole number from 1 to 10000",
        "--log-format or RUNBOOKD_LOG_FORMAT: \"xml\" is neither human nor json",
        "--log or RUNBOOKD_LOG: \"a=b=c\": ",
        "--data-dir or RUNBOOK_DATA_DIR: it is empty",
        "has 125 bytes, the system takes at most 107",
    ] {
        assert!(error.contains(part), "{part}\n{error}");
    }
    let error = load(Path::new("/nowhere"), &["--config", "/nowhere/c"]).unwrap_err();
    assert!(error.contains("project: /nowhere: No such file") && error.contains("/nowhere/c: No such file"), "{error}");
}

#[test]
fn a_variable_that_means_nothing_is_told() {
    let source = Source::Env("RUNBOOKD_MINE".to_owned());
    let secrets = BTreeMap::from([(
        "s".to_owned(),
        Secret { source: Some(source), environments: BTreeMap::new(), runbooks: None, multiline: false },
    )]);
    let names = ["RUNBOOKD_SOKET", "RUNBOOKD_MINE", "RUNBOOKD_LOG", "RUNBOOK_X", "PATH"].map(ToOwned::to_owned);
    let mut warnings = Vec::new();
    unknown_variables(names.into_iter(), &secrets, &mut warnings);
    let told = "the variable RUNBOOKD_SOKET means nothing to this daemon; did you mean RUNBOOKD_SOCKET?";
    assert_eq!(warnings, [told]);
}

/// The rows of the page's tables: the text between the first two bars.
fn first_cells(page: &str) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    rows.filter_map(|row| row.split('|').nth(1)).map(|cell| cell.replace('`', "").trim().to_owned()).collect()
}

#[test]
fn the_page_says_every_flag_variable_key_default_and_limit() {
    let page = include_str!("../../../../docs/configuration.md");
    let cells = first_cells(page);
    let command = Arguments::command();
    let flags: Vec<_> = command.get_arguments().filter(|flag| !flag.is_hide_set()).collect();
    for flag in &flags {
        let Some(long) = flag.get_long().filter(|long| !["help", "version"].contains(long)) else { continue };
        let row = page.lines().find(|line| line.starts_with(&format!("| `--{long}")));
        let row = row.unwrap_or_else(|| panic!("no row for --{long}"));
        if let Some(variable) = flag.get_env() {
            assert!(row.contains(&format!("`{}`", variable.to_string_lossy())), "{row}");
        }
        let key = long.replace('-', "_");
        let in_file = file::KEYS.contains(&key.as_str());
        assert_eq!(row.contains(&format!("| `{key}` |")), in_file, "{row}");
    }
    for key in file::KEYS {
        let flag = format!("--{}", key.replace('_', "-"));
        let named = |cell: &String| {
            cell == key || cell.starts_with(&format!("{key}.")) || cell.split(' ').next() == Some(&flag)
        };
        assert!(cells.iter().any(named), "no row for {key}");
    }
    let mut maps = vec![
        ("programs".to_owned(), runbook_core::action::programs()),
        ("retention".to_owned(), file::RETENTION_KEYS.to_vec()),
        ("roles.NAME".to_owned(), file::ROLE_KEYS.to_vec()),
        ("secrets.NAME".to_owned(), file::secrets::OTHER_KEYS.to_vec()),
    ];
    for (source, keys) in file::secrets::SOURCES {
        let own = if keys.is_empty() {
            ("secrets.NAME".to_owned(), vec![source])
        } else {
            (format!("secrets.NAME.{source}"), keys.to_vec())
        };
        maps.push(own);
    }
    for (map, keys) in maps {
        for key in keys {
            assert!(cells.contains(&format!("{map}.{key}")), "no row for {map}.{key}");
        }
    }
    for key in file::HOOK_KEYS {
        assert!(cells.contains(&format!("on.{key}")), "no row for on.{key}");
    }
    for (name, value_type) in crate::hooks::INPUTS {
        let row = format!("| `{name}` | {} |", value_type.name());
        assert!(page.contains(&row), "no row {row}");
    }
    // And nothing that is not there.
    for cell in cells.iter().filter(|cell| cell.starts_with("--") && !cell.starts_with("---")) {
        let long = cell.trim_start_matches("--").split(' ').next().unwrap_or_default();
        assert!(flags.iter().any(|flag| flag.get_long() == Some(long)), "there is no --{long}");
    }
    let row = |name: &str| page.lines().find(|line| line.starts_with(&format!("| `{name}"))).unwrap().to_owned();
    let (low, high) = (PLACES_RANGE.start(), PLACES_RANGE.end());
    assert!(row("--max-attempts").contains(&format!("{PLACES}; {low} to {high}")), "{}", row("--max-attempts"));
    let (low, high) = (KEEP_RUNS_RANGE.start(), KEEP_RUNS_RANGE.end());
    assert!(row("retention.runs").contains(&format!("{KEEP_RUNS}; {low} to {high}")), "{}", row("retention.runs"));
    let (low, high) = (KEEP_DAYS_RANGE.start(), KEEP_DAYS_RANGE.end());
    assert!(row("retention.days").contains(&format!("{KEEP_DAYS}; {low} to {high}")), "{}", row("retention.days"));
    assert!(row("--log ").contains(&format!("`{LOG}`")));
}

#[test]
fn help_says_the_limits_that_hold() {
    let help = Arguments::command().render_long_help().to_string();
    let (low, high) = (PLACES_RANGE.start(), PLACES_RANGE.end());
    for part in [
        format!("{low} to {high} [default: {PLACES}]"),
        format!("[default: {LOG}]"),
        "retention: {runs:".to_owned(),
        "RUNBOOKD_SOCKET".to_owned(),
        "Exit codes:".to_owned(),
    ] {
        assert!(help.contains(&part), "{part}\n{help}");
    }
}
