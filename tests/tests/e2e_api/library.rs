//! The folder of runbooks: one generation at a time, watched; a broken file hides nothing.

use std::fs;

use runbook_proto::v1::{GetRunbookRequest, ListRunbooksRequest, ListRunbooksResponse, RunStatus};
use runbook_tests::e2e::server::{Client, Server};
use runbook_tests::e2e::{Project, wait_for};
use tonic::Code;

use crate::{NOTHING, refused};

fn list(client: &Client) -> ListRunbooksResponse {
    client.block_on(client.runbooks().list_runbooks(ListRunbooksRequest::default())).unwrap().into_inner()
}

fn names(list: &ListRunbooksResponse) -> Vec<(String, bool)> {
    list.runbooks
        .iter()
        .map(|runbook| (runbook.name.trim_start_matches("runbooks/").to_owned(), runbook.broken))
        .collect()
}

fn name(name: &str, broken: bool) -> (String, bool) {
    (name.to_owned(), broken)
}

#[test]
fn a_broken_file_hides_nothing_and_is_shown() {
    let project = Project::with("good", NOTHING);
    project.file("runbooks/bad.yaml", "name: bad\nlanguage: 1\nsteps:\n  a: {needs: [z], argv: [x]}\n");
    project.file("runbooks/noise.yaml", "\u{0}\u{1}: [");
    fs::write(project.path("runbooks/latin.yml"), b"name: caf\xe9\n").unwrap();
    let large = fs::File::create(project.path("runbooks/large.yaml")).unwrap();
    large.set_len(50_000_000).unwrap();
    project.file("runbooks/notes.txt", "no runbook");
    project.file("runbooks/.hidden.yaml", "[");
    project.file("runbooks/environments/prod.yaml", "values: {}\n");
    let (_server, client) = Server::start(&project);
    let all = list(&client);
    let expected =
        [name("bad", true), name("good", false), name("large", true), name("latin", true), name("noise", true)];
    assert_eq!(names(&all), expected);
    let codes: Vec<&str> = all.runbooks.iter().flat_map(|r| r.findings.first()).map(|f| f.code.as_str()).collect();
    assert_eq!(codes, ["unknown-step", "file-too-large", "not-utf8", "invalid-yaml"]);
    assert_eq!(all.runbooks[0].findings[0].file, "runbooks/bad.yaml");
    let info = client.info().unwrap();
    assert_eq!((info.runbooks, info.broken_runbooks), (1, 4));
    assert_eq!(client.over(&client.exec("good").name).status(), RunStatus::Succeeded);
    refused(client.try_exec("bad"), Code::InvalidArgument, "BROKEN_RUNBOOK");
    let request = GetRunbookRequest { name: "runbooks/bad".into() };
    let bad = client.block_on(client.runbooks().get_runbook(request)).unwrap().into_inner().runbook.unwrap();
    assert!(bad.broken && bad.source.contains("needs: [z]"));
}

#[test]
fn what_cannot_be_read_is_shown_with_the_reason() {
    let project = Project::with("one", NOTHING);
    std::os::unix::fs::symlink("nowhere", project.path("runbooks/two.yaml")).unwrap();
    std::os::unix::fs::symlink(".", project.path("runbooks/loop")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(project.path("runbooks/pipe.yaml")).status().unwrap();
    assert!(pipe.success());
    let (_server, client) = Server::start(&project);
    let all = list(&client);
    assert_eq!(names(&all), [name("one", false), name("pipe", true), name("two", true)]);
    assert_eq!(all.runbooks[2].findings[0].code, "unreadable-file");
    assert_eq!(all.problems, ["runbooks/loop: the same folder comes twice"]);
    for (name, why) in [("two", "No such file"), ("pipe", "no regular file")] {
        let asked = client.try_exec(name);
        assert!(asked.as_ref().is_err_and(|status| status.message().contains(why)), "{asked:?}");
        refused(asked, Code::InvalidArgument, "BROKEN_RUNBOOK");
    }
    let asked = client.try_exec("three");
    assert!(asked.as_ref().is_err_and(|status| status.message().contains("the same folder")), "{asked:?}");
    refused(asked, Code::NotFound, "NO_SUCH_RUNBOOK");
}

#[test]
fn what_was_just_written_is_what_is_shown() {
    let project = Project::with("a", NOTHING);
    let (_server, client) = Server::start(&project);
    for round in 0..20 {
        project.runbook("a", &format!("description: round {round}\n{NOTHING}"));
        let request = GetRunbookRequest { name: "a".into() };
        let shown = client.block_on(client.runbooks().get_runbook(request)).unwrap().into_inner().runbook.unwrap();
        assert_eq!(shown.description, format!("round {round}"));
        project.runbook(&format!("b{round}"), NOTHING);
        assert_eq!(list(&client).runbooks.len(), round + 2);
    }
    // A start, too: another file of the name makes it a guess.
    for round in 0..5 {
        project.file("runbooks/0.yaml", &format!("name: a\nlanguage: 1\n{NOTHING}"));
        refused(client.try_exec("a"), Code::InvalidArgument, "BROKEN_RUNBOOK");
        fs::remove_file(project.path("runbooks/0.yaml")).unwrap();
        assert_eq!(client.exec("a").number, round + 1);
    }
}

#[test]
fn the_definition_is_the_one_that_a_start_is_pinned_to() {
    let project = Project::with("a", &format!("files: [data.txt]\n{NOTHING}"));
    let (_server, client) = Server::start(&project);
    let shown = || list(&client).runbooks[0].clone();
    let missing = shown();
    assert_eq!((missing.broken, missing.definition.as_str()), (true, ""));
    assert_eq!(missing.findings[0].code, "missing-file");
    project.file("data.txt", "one");
    let good = shown();
    assert!(!good.broken && good.definition.len() == 64, "{good:?}");
    assert_eq!(client.exec("a").definition, good.definition);
    project.file("data.txt", "another");
    assert_ne!(shown().definition, good.definition);
}

#[test]
fn names_are_unique_over_all_folders() {
    let project = Project::new();
    let good = |name: &str| format!("name: {name}\nlanguage: 1\n{NOTHING}");
    project.file("runbooks/db/backup.yaml", &good("backup"));
    project.file("runbooks/db/deep/er/vacuum.yml", &good("vacuum"));
    project.file("runbooks/web/backup.yaml", &good("backup"));
    project.file("runbooks/web/restart.yaml", &good("restart-web"));
    let (_server, client) = Server::start(&project);
    let all = list(&client);
    // Which of them a start would mean is a guess: none is taken. The second goes by its file.
    let expected =
        [name("backup", true), name("restart-web", false), name("web/backup.yaml", true), name("vacuum", false)];
    assert_eq!(names(&all), expected);
    let files = ["runbooks/db/backup.yaml", "runbooks/web/backup.yaml"];
    for (place, other) in [(0, 1), (1, 0)] {
        let broken = all.runbooks.iter().find(|runbook| runbook.file == files[place]).unwrap();
        let finding = &broken.findings[0];
        assert_eq!((finding.code.as_str(), finding.file.as_str()), ("duplicate-name", files[place]));
        assert!(finding.message.contains(files[other]), "{}", finding.message);
    }
    // A new file takes no name over from one that has it, and a folder is no part of a name.
    refused(client.try_exec("backup"), Code::InvalidArgument, "BROKEN_RUNBOOK");
    fs::remove_file(project.path(files[0])).unwrap();
    assert_eq!(client.over(&client.exec("runbooks/backup").name).status(), RunStatus::Succeeded);
    refused(client.try_exec("db/backup"), Code::NotFound, "NO_SUCH_RUNBOOK");
    assert_eq!(client.over(&client.exec("vacuum").name).status(), RunStatus::Succeeded);
}

#[test]
fn a_change_makes_a_new_generation() {
    let project = Project::with("a", NOTHING);
    let (server, client) = Server::start(&project);
    let first = list(&client).generation;
    let after = |client: &Client, generation: i64, what: &str| {
        wait_for(what, || {
            let all = list(client);
            (all.generation > generation).then_some(all)
        })
    };
    project.runbook("b", NOTHING);
    let all = after(&client, first, "a new file to be seen");
    assert_eq!(names(&all), [name("a", false), name("b", false)]);
    project.file("runbooks/sub/c.yaml", &format!("name: c\nlanguage: 1\n{NOTHING}"));
    let all = wait_for("a file in a new folder to be seen", || {
        let all = list(&client);
        (all.runbooks.len() == 3).then_some(all)
    });
    // As editors do it: another file is put in its place.
    fs::write(project.path("b.new"), "name: b\nlanguage: 1\nsteps: {}\n").unwrap();
    fs::rename(project.path("b.new"), project.path("runbooks/b.yaml")).unwrap();
    let all = after(&client, all.generation, "a broken file to be seen");
    assert_eq!(names(&all), [name("a", false), name("b", true), name("c", false)]);
    refused(client.try_exec("b"), Code::InvalidArgument, "BROKEN_RUNBOOK");
    fs::remove_file(project.path("runbooks/b.yaml")).unwrap();
    let all = after(&client, all.generation, "a file to be gone");
    assert_eq!(names(&all), [name("a", false), name("c", false)]);
    // A touch changes nothing, and reading the folder is no change of it.
    let settled = list(&client).generation;
    fs::write(project.path("runbooks/a.yaml"), project.read("runbooks/a.yaml").unwrap()).unwrap();
    client.over(&client.exec("a").name);
    assert_eq!(list(&client).generation, settled);
    assert_eq!(client.info().unwrap().generation, settled);
    drop(server);
}
