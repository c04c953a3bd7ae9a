//! A database that refuses a dump half-way, a server that is killed in the middle of one, and what a killed server leaves behind.
//! With PostgreSQL alone: what is deployed plays no part.

use std::process::{Command, Stdio};

use runbook_proto::v1::{Run, RunStatus, StepStatus};
use runbook_tests::e2e::{Daemon, Project, step};

use crate::{ask, ask_of, exec, is_postgres_there, postgres, start, succeed, told};

/// A database with a row whose coming back is up to a script outside of it, which is run in the midst of the rows.
fn with_a_trap() -> Project {
    let project = Project::with_library();
    project.file(".stack/local/trap", "");
    postgres(&project, &["make"]);
    ask_of(&project, "postgres", "create database stack");
    let trap = project.path(".stack/local/trap");
    let fill = format!(
        r#"
create function obeys(name text) returns boolean language plpgsql as $$
begin
    if name = 'second' then copy (select where false) to program '. {}'; end if;
    return true;
exception when others then return false;
end $$;
create table letters (name text primary key check (obeys(name)));
insert into letters values ('first'), ('second'), ('third');
"#,
        trap.display()
    );
    ask(&project, &fill);
    project
}

/// What the trap does when a row comes back.
fn set(project: &Project, trap: &str) {
    project.file(".stack/local/trap", trap);
}

const REFUSES: &str = "exit 1\n";

/// At first the process of the session alone, at which the server begins again by itself; then the server.
fn kills(project: &Project) -> String {
    let began = project.path("began").display().to_string();
    format!("[ -e {began} ] && kill -9 \"$(head -n 1 postmaster.pid)\"\ntouch {began}\nkill -9 $PPID\n")
}

fn letters(project: &Project) -> String {
    ask(project, "select string_agg(name, ' ' order by name) from letters")
}

/// The dumps that are published, and what else is where they are.
fn published(project: &Project) -> Vec<String> {
    let entries = |folder: &str| std::fs::read_dir(project.path(folder)).expect(folder).map(|entry| entry.unwrap());
    let backups = ".stack/backups/local/database";
    let all = entries(backups).chain(entries(&format!("{backups}/.staging")));
    let mut names: Vec<String> = all.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// A step that failed after so many attempts, and said all this at last.
fn failed(daemon: &Daemon, run: &Run, id: &str, attempts: u32, parts: &[&str]) {
    let failed = step(run, id);
    assert_eq!((failed.status(), failed.attempts), (StepStatus::Failed, attempts), "{}", told(daemon, run));
    let lines = daemon.logs(&run.name, id).join("\n");
    for part in parts {
        assert!(lines.contains(part), "{part}: {lines}");
    }
}

#[test]
fn a_dump_that_does_not_come_back_is_not_published() {
    if !is_postgres_there() {
        return;
    }
    let project = with_a_trap();
    let daemon = start(&project);
    succeed(&daemon, "backup-database", &[("keep", "1")]);
    let before = published(&project);
    set(&project, REFUSES);
    let run = exec(&daemon, "backup-database", &[("keep", "1")]);
    assert_eq!(run.status(), RunStatus::Failed, "{}", told(&daemon, &run));
    failed(&daemon, &run, "restore", 1, &["letters_name_check", "Mend that there, and back it up again"]);
    assert_eq!((published(&project), before.len()), (before, 2), "one dump, and the folder of none");
    // It is the one that comes back.
    ask(&project, "insert into letters values ('later')");
    set(&project, "");
    succeed(&daemon, "restore-database", &[]);
    assert_eq!(letters(&project), "first second third");
}

#[test]
fn an_empty_database_takes_the_place_of_no_dump_that_has_rows() {
    if !is_postgres_there() {
        return;
    }
    let project = with_a_trap();
    let daemon = start(&project);
    succeed(&daemon, "backup-database", &[("keep", "1")]);
    let before = published(&project);
    ask(&project, "delete from letters");
    let run = exec(&daemon, "backup-database", &[("keep", "1")]);
    failed(&daemon, &run, "loss", 1, &["the database has no row", "disaster-recovery --env local", "allow_empty=true"]);
    assert_eq!(published(&project), before);
    succeed(&daemon, "restore-database", &[]);
    assert_eq!(letters(&project), "first second third");
    ask(&project, "delete from letters");
    succeed(&daemon, "backup-database", &[("keep", "1"), ("allow_empty", "true")]);
    assert_ne!(published(&project), before);
    // With nothing to lose nothing is refused.
    succeed(&daemon, "backup-database", &[("keep", "1")]);
}

#[test]
fn a_restore_that_does_not_come_to_its_end_leaves_the_database_as_it_was() {
    if !is_postgres_there() {
        return;
    }
    let project = with_a_trap();
    let daemon = start(&project);
    succeed(&daemon, "backup-database", &[]);
    ask(&project, "insert into letters values ('later')");
    let as_it_was = || {
        assert_eq!(letters(&project), "first later second third");
        let databases = "select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate";
        assert_eq!(ask_of(&project, "postgres", databases), "postgres stack");
    };
    set(&project, REFUSES);
    let run = exec(&daemon, "restore-database", &[]);
    // It would be refused again.
    let parts =
        ["COPY letters, line 2", "letters_name_check", "take another dump of those in .stack/backups/local/database"];
    failed(&daemon, &run, "load", 1, &parts);
    as_it_was();
    set(&project, &kills(&project));
    let run = exec(&daemon, "restore-database", &[]);
    failed(&daemon, &run, "load", 3, &["PostgreSQL went away meanwhile"]);
    assert_eq!(step(&run, "load").exit_code, Some(75));
    as_it_was();
    set(&project, "");
    succeed(&daemon, "restore-database", &[]);
    assert_eq!(letters(&project), "first second third");
}

/// The number of a server that was killed may be somebody else's when the next one starts.
#[test]
fn what_a_killed_server_left_is_not_taken_for_a_server() {
    if !is_postgres_there() {
        return;
    }
    let project = with_a_trap();
    let file = ".stack/local/postgres/postmaster.pid";
    let copy = project.path("copy").display().to_string();
    postgres(&project, &["with", "cp", "--", &project.path(file).display().to_string(), &copy]);
    let left = project.read("copy").expect("the file of the server that was");
    let mut somebody = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat runs");
    let (_, rest) = left.split_once('\n').expect("lines");
    project.file(file, &format!("{}\n{rest}", somebody.id()));
    assert_eq!(letters(&project), "first second third");
    // Nor was it told to stop.
    drop(somebody.stdin.take());
    assert!(somebody.wait().expect("it ends").success());
}
