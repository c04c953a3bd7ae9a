//! What is started, and with which inputs: names, files, values, requests.

use runbook_tests::e2e::command::{command, runbook, runbook_with, said};
use runbook_tests::e2e::{Daemon, Project};

const ECHO: &str = r#"
inputs:
  text: {type: string, default: ""}
  count: {type: integer, default: 1, minimum: 1}
  ratio: {type: number, default: 0.5}
  flag: {type: boolean, default: false}
  names: {type: list, default: []}
  labels: {type: map, default: {}}
  mode: {type: string, default: fast, enum: [fast, slow]}
steps:
  show:
    effect: idempotent
    stdin: "${{ inputs.text }}|${{ inputs.count }}|${{ inputs.flag }}|${{ join(inputs.names, ';') }}"
    run: cat > got
"#;

fn echo() -> (Project, Daemon) {
    let project = Project::with("echo", ECHO);
    let daemon = Daemon::start(&project);
    (project, daemon)
}

#[test]
fn values_arrive_as_they_were_typed() {
    let (project, daemon) = echo();
    for (arguments, got) in [
        (&["-i", "text=two words", "--input", "count=3"][..], "two words|3|false|"),
        (&["-i", "text=a=b=c"], "a=b=c|1|false|"),
        (&["-i", "text= padded "], " padded |1|false|"),
        (&["-i", "text=$(id) `id` \"; id"], "$(id) `id` \"; id|1|false|"),
        (&["-i", "text=日本語\nzwei"], "日本語\nzwei|1|false|"),
        (&["-i", r#"names=["a b", "c=d"]"#, "-i", "flag=true"], "|1|true|a b;c=d"),
        (&["-i", "text="], "|1|false|"),
    ] {
        let arguments: Vec<&str> = ["exec", "echo", "-q"].into_iter().chain(arguments.iter().copied()).collect();
        let said = runbook(&project, &arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.err, daemon.log());
        assert_eq!(project.read("got").as_deref(), Some(got), "{arguments:?}");
    }
}

#[test]
fn a_file_of_inputs_is_read_and_what_is_typed_wins() {
    let (project, _daemon) = echo();
    project.file("in.json", r#"{"text": "from the file", "count": 7, "names": ["x"], "flag": true}"#);
    let run = |arguments: &[&str]| runbook(&project, &[&["exec", "echo", "-q"], arguments].concat());
    assert_eq!(run(&["--input-file", "in.json", "-i", "count=8"]).code, 0);
    assert_eq!(project.read("got").as_deref(), Some("from the file|8|true|x"));
    let piped = runbook_with(&project, &["exec", "echo", "-q", "--input-file", "-"], r#"{"text": "piped"}"#);
    assert_eq!(piped.code, 0, "{piped:?}");
    assert_eq!(project.read("got").as_deref(), Some("piped|1|false|"));
    let asked = runbook_with(&project, &["exec", "echo", "-q", "--ask", "text", "-i", "count=2"], "not to be seen\n");
    assert_eq!(asked.code, 0, "{asked:?}");
    assert_eq!(project.read("got").as_deref(), Some("not to be seen|2|false|"));
    for (more, why) in [
        (&["--ask", "flag"][..], "several inputs are to be read from it"),
        (&["-i", "text=x"], "inputs are given more than once"),
    ] {
        let said = runbook_with(&project, &[&["exec", "echo", "-q", "--ask", "text"], more].concat(), "x");
        assert!(said.code == 2 && said.err.contains(why), "{said:?}");
    }
    // This one ends before it has read anything.
    let both = run(&["--ask", "text", "--input-file", "-"]);
    assert!(both.code == 2 && both.err.contains("both read standard input"), "{both:?}");
    for (text, why) in [
        (r#"{"text": "a", "count": 1, "text": "b"}"#, "the key \"text\" is given twice at line 1 column "),
        (r#"{"labels": {"a": 1, "a": 2}}"#, "the key \"a\" is given twice at line 1 column "),
        ("[]", "it is not an object"),
        ("{", "EOF while parsing"),
    ] {
        project.file("in.json", text);
        let said = run(&["--input-file", "in.json"]);
        assert_eq!(said.code, 2, "{text}");
        assert!(said.err.contains(why), "{text}: {}", said.err);
    }
    let missing = run(&["--input-file", "none.json"]);
    assert!(missing.code == 2 && missing.err.contains("none.json"), "{missing:?}");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let (project, _daemon) = echo();
    let wrong = ["-i", "count=0", "-i", "ratio=x", "-i", "mode=fasst", "-i", "txet=x", "-i", "names=[1"];
    let said = runbook(&project, &[&["exec", "echo"][..], &wrong].concat());
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    assert!(said.err.starts_with("error: 5 inputs of the request are wrong\n"), "{}", said.err);
    for part in ["count", "ratio", "mode", "txet", "names"] {
        assert_eq!(said.err.matches(&format!("\n  - inputs.{part}: ")).count(), 1, "{part}: {}", said.err);
    }
    assert!(said.err.contains("did you mean `text`"), "{}", said.err);
    assert!(said.err.ends_with("  next: `runbook show echo` lists the inputs\n"), "{}", said.err);
    let unknown = runbook(&project, &["exec", "ecko"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("did you mean") && unknown.err.contains("echo"), "{}", unknown.err);
    let verb = runbook(&project, &["exce", "echo"]);
    assert_eq!(verb.code, 2);
    assert!(verb.err.contains("'exec'"), "{}", verb.err);
    let twice = runbook(&project, &["exec", "echo", "-i", "count=1", "-i", "count=2"]);
    assert_eq!(twice.err, "error: inputs are given more than once\n  - count: given twice\n");
}

#[test]
fn a_file_outside_of_the_folder_is_run() {
    let (project, daemon) = echo();
    project.file(
        "elsewhere/try.yaml",
        "name: try\nlanguage: 1\nsteps:\n  a: {effect: idempotent, run: echo tried > got}\n",
    );
    let mut exec = command(&project, &["exec", "./try.yaml", "--project", ".."]);
    exec.current_dir(project.path("elsewhere"));
    let ran = said(exec);
    assert_eq!(ran.code, 0, "{}{}", ran.err, daemon.log());
    assert!(ran.out.contains("run 1 try"), "{}", ran.out);
    assert_eq!(project.read("got").as_deref(), Some("tried\n"));
    // It is in no folder: the list does not have it, the run does.
    assert!(!runbook(&project, &["list"]).out.contains("try"));
    assert!(runbook(&project, &["runs"]).out.contains(" try "));
    project.file("bad.yaml", "name: bad\nlanguage: 1\nsteps:\n  a: {effect: idempotent, rnu: echo}\n");
    let bad = runbook(&project, &["exec", "bad.yaml"]);
    assert_eq!(bad.code, 2);
    assert!(bad.err.contains("bad.yaml:4:") && bad.err.contains("did you mean"), "{}", bad.err);
    project.file("empty.yaml", "");
    assert_eq!(runbook(&project, &["exec", "empty.yaml"]).code, 2);
    assert_eq!(runbook(&project, &["exec", "./none.yaml"]).code, 2);
}

#[test]
fn a_repeated_request_is_the_same_run() {
    let (project, _daemon) = echo();
    let exec =
        |arguments: &[&str]| runbook(&project, &[&["exec", "echo", "--request-id", "night-1"], arguments].concat());
    let first = exec(&["--detach"]);
    assert_eq!((first.code, first.out.as_str()), (0, "run 1 echo: started\n"));
    let second = exec(&["--detach"]);
    assert_eq!((second.code, second.out.as_str()), (0, "run 1 echo: was started by this request before\n"));
    let third = exec(&[]);
    assert_eq!(third.code, 0);
    assert_eq!(third.err, "run 1 was started by this request before; watching it\n");
    assert!(third.out.contains("run 1 echo: succeeded"), "{}", third.out);
    let other = exec(&["-i", "text=another"]);
    assert_eq!(other.code, 6);
    assert!(other.err.contains("next: give another --request-id, or leave it out"), "{}", other.err);
    assert_eq!(runbook(&project, &["exec", "echo", "--quiet", "--detach"]).out, "2\n");
    assert_eq!(runbook(&project, &["runs"]).out.lines().count(), 3);
}

#[test]
fn what_would_start_is_said_without_starting_it() {
    let (project, _daemon) = echo();
    let good = runbook(&project, &["exec", "echo", "--validate-only", "-i", "text=x"]);
    assert_eq!((good.code, good.out.as_str(), good.err.as_str()), (0, "✓ echo would start\n", ""));
    assert_eq!(runbook(&project, &["exec", "echo", "--validate-only", "-i", "count=x"]).code, 2);
    assert_eq!(runbook(&project, &["runs"]).out, "");
    assert_eq!(project.read("got"), None);
}
