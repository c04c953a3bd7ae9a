//! Steps that do their work for each of a list, with real processes: what is gathered, how items are named, and that a
//! resume repeats only those that failed, after the daemon was killed in the middle.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use runbook_proto::v1::{ResumeRunRequest, RunStatus, StepStatus};
use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, step, wait_for};

/// Copies to the regions that a step finds, then treats node by node.
const ROLL: &str = r#"
inputs: {nodes: {type: list, default: [web1, web2, {host: web3}]}}
steps:
  find:
    effect: read
    run: echo 'regions=["eu-west","us-east","ap-1"]' >> "$RUNBOOK_OUTPUT"
    outputs: {regions: list}
  copy:
    needs: [find]
    for_each: ${{ steps.find.outputs.regions }}
    max_failures: 1
    effect: idempotent
    env: {REGION: "${{ item }}", PLACE: "${{ each.key }} ${{ each.number }}"}
    run: |
      echo "$RUNBOOK_STEP $PLACE"
      test "$REGION" != us-east
      echo "bytes=${#REGION}" >> "$RUNBOOK_OUTPUT"
    outputs: {bytes: integer}
  upgrade:
    needs: [copy]
    for_each: ${{ inputs.nodes }}
    max_parallel: 1
    steps:
      drain: {effect: idempotent, run: 'echo "drain $NODE" >> done', env: {NODE: "${{ json(item) }}"}}
      install:
        needs: [drain]
        effect: idempotent
        env: {NODE: "${{ each.number }}"}
        run: |
          echo "install $NODE" >> done
          while [ -e "hold$NODE" ]; do sleep 0.02; done
          test -e "good$NODE"
  tell:
    needs: [upgrade]
    effect: read
    argv: [echo, "${{ json(steps.copy.outputs.bytes) }}"]
"#;

#[test]
fn items_are_gathered_named_and_only_the_failed_ones_repeated() {
    let project = Project::with("roll", ROLL);
    for file in ["hold2", "good1", "good3"] {
        project.file(file, "");
    }
    let daemon = Daemon::start(&project);
    let run = daemon.exec("roll", &[]);
    wait_for("the second node", || project.lines("done").contains(&"install 2".to_owned()).then_some(()));
    daemon.kill();
    let daemon = Daemon::start(&project);
    std::fs::remove_file(project.path("hold2")).expect("it was there");
    let over = daemon.wait_over(&run.name);
    assert_eq!(over.status(), RunStatus::Failed, "{over:#?}\n{}", daemon.log());
    let items = step(&over, "copy").child_run.clone().expect("its run");
    assert_eq!(step(&items, "[\"us-east\"]").status(), StepStatus::Failed, "one may fail");
    assert_eq!(daemon.logs(&run.name, "copy[\"us-east\"]"), ["copy[\"us-east\"] us-east 2"]);
    assert_eq!(daemon.logs(&run.name, "copy[ap-1]"), ["copy[\"ap-1\"] ap-1 3"]);
    assert_eq!(daemon.logs(&run.name, "copy[1]"), ["copy[\"eu-west\"] eu-west 1"]);
    let nodes = step(&over, "upgrade").child_run.clone().expect("its run");
    let status = |id: &str| step(&nodes, id).status();
    let statuses = [status("[1]"), status("[2]"), status("[3]")];
    assert_eq!(statuses, [StepStatus::Succeeded, StepStatus::Failed, StepStatus::Skipped], "one after the other");

    project.file("good2", "");
    let request =
        ResumeRunRequest { name: run.name.clone(), reason: String::new(), confirm: Vec::new(), ..Default::default() };
    daemon.runs(|mut client| async move { client.resume_run(request).await }).expect("resume");
    let over = daemon.wait_over(&run.name);
    assert_eq!(over.status(), RunStatus::Succeeded, "{over:#?}");
    assert_eq!(daemon.logs(&run.name, "tell"), ["[7,null,4]"]);
    let expected = [
        "drain \"web1\"",
        "install 1",
        "drain \"web2\"",
        "install 2",
        "install 2",
        "drain {\"host\":\"web3\"}",
        "install 3",
    ];
    assert_eq!(project.lines("done"), expected, "what succeeded is kept");
    let status = runbook(&project, &["status", &run.number.to_string()]).out;
    assert!(status.contains("✗   [\"us-east\"]") && status.contains("✓     install"), "{status}");
    let nobody = runbook(&project, &["logs", &run.number.to_string(), "copy[4]"]);
    assert!(nobody.code != 0 && nobody.err.contains("copy[4]") || nobody.err.contains("[4]"), "{nobody:?}");
}

#[test]
fn what_is_no_list_fails_the_step_and_nothing_is_done_for_an_empty_one() {
    let project = Project::with(
        "lists",
        r#"
steps:
  find: {effect: read, run: 'echo "what={\"a\": 1}" >> "$RUNBOOK_OUTPUT"', outputs: {what: map}}
  none: {needs: [find], for_each: "${{ steps.find.outputs.what.a }}", run: echo, allow_failure: true}
  empty: {needs: [find], for_each: [], run: echo, outputs: {n: integer}}
  tell: {needs: [empty], effect: read, argv: [echo, "${{ json(steps.empty.outputs.n) }}"]}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("lists", &[]);
    let over = daemon.wait_over(&run.name);
    assert_eq!(over.status(), RunStatus::Succeeded, "{over:#?}");
    let none = step(&over, "none");
    assert_eq!(none.status(), StepStatus::Failed);
    assert_eq!(none.message, "for_each: a list is wanted, and steps.find.outputs.what.a is a number");
    assert_eq!(daemon.logs(&run.name, "tell"), ["[]"]);
}
