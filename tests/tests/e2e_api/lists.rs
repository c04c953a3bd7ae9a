//! Pages and filters of lists.

use runbook_proto::v1::{ListEventsRequest, ListRunbooksRequest, ListRunsRequest, Run, RunStatus};
use runbook_tests::e2e::Project;
use runbook_tests::e2e::server::{Client, Server};

use crate::NOTHING;

/// All runs of a request, page by page; no page may be larger than asked for.
fn paged(client: &Client, request: &ListRunsRequest) -> Vec<Run> {
    let mut request = request.clone();
    let mut runs = Vec::new();
    loop {
        let page = client.list(request.clone());
        assert!(request.page_size == 0 || page.runs.len() <= request.page_size as usize);
        runs.extend(page.runs);
        if page.next_page_token.is_empty() {
            return runs;
        }
        request.page_token = page.next_page_token;
    }
}

fn numbers(runs: &[Run]) -> Vec<u64> {
    runs.iter().map(|run| run.number).collect()
}

#[test]
fn runs_are_listed_by_pages_and_filters() {
    let project = Project::with("good", NOTHING);
    project.runbook("bad", "steps: {a: {effect: read, argv: [\"false\"]}}\n");
    project.runbook("wait", "steps: {a: {effect: read, run: \"while ! test -e go; do sleep 0.05; done\"}}\n");
    let (server, client) = Server::start(&project);
    for index in 0..7 {
        let run = client.exec(if index % 3 == 2 { "bad" } else { "good" });
        client.over(&run.name);
    }
    let waiting = client.exec("wait");
    let check = |client: &Client| {
        for page_size in [0, 1, 2, 3, 7, 8, 1_000, 1_000_000] {
            let request = ListRunsRequest { page_size, ..Default::default() };
            assert_eq!(numbers(&paged(client, &request)), [8, 7, 6, 5, 4, 3, 2, 1], "pages of {page_size}");
            let request = ListRunsRequest { page_size, runbook: "runbooks/bad".into(), ..Default::default() };
            assert_eq!(numbers(&paged(client, &request)), [6, 3]);
        }
        let of = |statuses: &[RunStatus]| {
            let statuses = statuses.iter().map(|status| (*status).into()).collect();
            numbers(&paged(client, &ListRunsRequest { statuses, page_size: 2, ..Default::default() }))
        };
        assert_eq!(of(&[RunStatus::Failed]), [6, 3]);
        assert_eq!(of(&[RunStatus::Running]), [8]);
        assert_eq!(of(&[RunStatus::Running, RunStatus::Succeeded]), [8, 7, 5, 4, 2, 1]);
        assert_eq!(of(&[RunStatus::Canceled]), [0_u64; 0]);
        let fifth = client.get("5");
        let request = ListRunsRequest { created_after: fifth.created_at, ..Default::default() };
        assert_eq!(numbers(&paged(client, &request)), [8, 7, 6, 5], "at or after");
        let request = ListRunsRequest {
            created_after: fifth.created_at,
            runbook: "good".into(),
            statuses: vec![RunStatus::Succeeded.into()],
            page_size: 1,
            ..Default::default()
        };
        assert_eq!(numbers(&paged(client, &request)), [7, 5]);
        for run in paged(client, &ListRunsRequest::default()) {
            let whole = client.get(&run.name);
            assert_eq!(
                (run.status(), run.finished_at, &run.runbook),
                (whole.status(), whole.finished_at, &whole.runbook)
            );
            assert!(run.steps.is_empty() && whole.steps.len() == 1);
        }
    };
    check(&client);
    // Runs that began later do not shift the pages of before.
    let first = client.list(ListRunsRequest { page_size: 3, ..Default::default() });
    server.kill();
    let (_server, client) = Server::start(&project);
    check(&client);
    let more = client.exec("good");
    let rest = ListRunsRequest { page_token: first.next_page_token, ..Default::default() };
    assert_eq!(numbers(&paged(&client, &rest)), [5, 4, 3, 2, 1]);
    project.file("go", "");
    assert_eq!(client.over(&waiting.name).status(), RunStatus::Succeeded);
    client.over(&more.name);
}

#[test]
fn events_are_listed_by_pages() {
    let project = Project::with("good", NOTHING);
    let (_server, client) = Server::start(&project);
    let run = client.over(&client.exec("good").name);
    let all = client.events(&run.name);
    assert_eq!(all.iter().map(|event| event.number).collect::<Vec<_>>(), (1..=run.last_event).collect::<Vec<_>>());
    for page_size in [1, 2, 3, 100] {
        let mut got = Vec::new();
        loop {
            let start_after = got.last().map_or(0, |event: &runbook_proto::v1::Event| event.number);
            let request = ListEventsRequest { name: run.name.clone(), start_after, page_size };
            let page = client.block_on(client.runs().list_events(request)).unwrap().into_inner();
            assert!(page.events.len() <= page_size as usize && (!page.events.is_empty() || !page.more));
            got.extend(page.events);
            if !page.more {
                break;
            }
        }
        assert_eq!(got, all);
    }
}

#[test]
fn runbooks_are_listed_by_pages() {
    let project = Project::new();
    for index in 0..7 {
        project.runbook(&format!("r{index}"), NOTHING);
    }
    project.file("runbooks/broken.yaml", "steps: [\n");
    let (_server, client) = Server::start(&project);
    for page_size in [0, 1, 3, 8, 100] {
        let mut names = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListRunbooksRequest { page_size, page_token };
            let page = client.block_on(client.runbooks().list_runbooks(request)).unwrap().into_inner();
            names.extend(page.runbooks.into_iter().map(|runbook| (runbook.name, runbook.broken)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(names.len(), 8);
        assert_eq!(names[0], ("runbooks/broken".to_owned(), true));
        assert_eq!(names[7], ("runbooks/r6".to_owned(), false));
    }
}
