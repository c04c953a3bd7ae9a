//! Structures of real workflows (scientific graphs, Argo's examples, CI), run as steps that do nothing: each step starts
//! once, after what it needs, and joins over failures and alternatives are decided as they say.
//!
//! `RUNBOOK_TEST_DAGS` names a folder of JSON files, `{"name", "steps": [{"id", "needs", "depends_expr"?}]}`, at any depth.
//! `depends_expr` is Argo's `depends`: `&&`, `||`, parentheses, and ids with `.Succeeded`, `.Failed` or nothing, which
//! means that it succeeded or was passed over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use runbook_proto::v1::{EventType, RunStatus, StepStatus};
use runbook_tests::e2e::{Daemon, Project};

#[derive(serde::Deserialize)]
struct Graph {
    steps: Vec<Node>,
}

#[derive(serde::Deserialize)]
struct Node {
    id: String,
    needs: Vec<String>,
    depends_expr: Option<String>,
}

impl Node {
    /// What it asks of its needs, where that is more than that all of them succeeded.
    fn join(&self) -> Option<&str> {
        self.depends_expr.as_deref().filter(|text| text.contains(['.', '|']))
    }
}

/// How a step ends: what a term of an expression asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Succeeded,
    Failed,
    Skipped,
}

/// A term or an operator of Argo's `depends`.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Is(String, Vec<End>),
    Sign(&'static str),
}

fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(sign) = ["&&", "||", "(", ")"].into_iter().find(|sign| rest.starts_with(sign)) {
            found.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            let end = rest.find([' ', '&', '|', '(', ')']).unwrap_or(rest.len());
            assert!(end > 0, "what is {rest} in {text}?");
            let (id, asked) = rest[..end].split_once('.').unwrap_or((&rest[..end], ""));
            let ends = match asked {
                "Succeeded" => vec![End::Succeeded],
                "Failed" => vec![End::Failed],
                "" => vec![End::Succeeded, End::Skipped],
                other => panic!("{other} in {text}"),
            };
            found.push(Token::Is(id.to_owned(), ends));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    found
}

/// Whether `depends` holds: `||` binds less than `&&`.
fn holds(tokens: &[Token], ends: &HashMap<String, End>) -> bool {
    fn any(tokens: &mut &[Token], ends: &HashMap<String, End>) -> bool {
        let mut value = all(tokens, ends);
        while let [Token::Sign("||"), rest @ ..] = *tokens {
            *tokens = rest;
            value |= all(tokens, ends);
        }
        value
    }
    fn all(tokens: &mut &[Token], ends: &HashMap<String, End>) -> bool {
        let mut value = one(tokens, ends);
        while let [Token::Sign("&&"), rest @ ..] = *tokens {
            *tokens = rest;
            value &= one(tokens, ends);
        }
        value
    }
    fn one(tokens: &mut &[Token], ends: &HashMap<String, End>) -> bool {
        match *tokens {
            [Token::Is(id, wanted), rest @ ..] => {
                *tokens = rest;
                wanted.contains(&ends[id])
            }
            [Token::Sign("("), rest @ ..] => {
                *tokens = rest;
                let value = any(tokens, ends);
                let [Token::Sign(")"), rest @ ..] = *tokens else { panic!("a parenthesis is open") };
                *tokens = rest;
                value
            }
            other => panic!("a term is missing before {other:?}"),
        }
    }
    let mut rest = tokens;
    let value = any(&mut rest, ends);
    assert!(rest.is_empty(), "what is {rest:?}?");
    value
}

impl Graph {
    /// The ids that the language takes, each with the id it stands for.
    fn ids(&self) -> HashMap<&str, String> {
        let plain = |(number, node): (usize, &Node)| {
            let kept: String = node.id.to_lowercase().chars().filter(char::is_ascii_alphanumeric).take(40).collect();
            (&*self.steps[number].id, format!("s{number}-{kept}"))
        };
        self.steps.iter().enumerate().map(plain).collect()
    }

    /// The steps that have to fail, so that what is said for the case happens.
    fn failing(&self) -> HashSet<String> {
        let asked = self.steps.iter().filter_map(|node| node.depends_expr.as_deref()).flat_map(tokens);
        asked
            .filter_map(|token| match token {
                Token::Is(id, ends) if ends == [End::Failed] => Some(id),
                _ => None,
            })
            .collect()
    }

    fn yaml(&self) -> String {
        let (ids, failing) = (self.ids(), self.failing());
        let mut text = "on_failure: continue\nsteps:\n".to_owned();
        for node in &self.steps {
            let needs: Vec<&str> = node.needs.iter().map(|need| &*ids[&**need]).collect();
            write!(text, "  {}: {{effect: read, needs: [{}]", ids[&*node.id], needs.join(", ")).unwrap();
            if let Some(expression) = node.join() {
                let said: Vec<String> = tokens(expression)
                    .into_iter()
                    .map(|token| match token {
                        Token::Sign(sign) => sign.to_owned(),
                        Token::Is(id, ends) => {
                            let one = |end: &End| {
                                format!("steps.{}.status == '{}'", ids[&*id], format!("{end:?}").to_lowercase())
                            };
                            format!("({})", ends.iter().map(one).collect::<Vec<_>>().join(" || "))
                        }
                    })
                    .collect();
                write!(text, ", if: \"{}\"", said.join(" ")).unwrap();
            }
            let program = if failing.contains(&node.id) { "/bin/false" } else { "/bin/true" };
            writeln!(text, ", allow_failure: true, argv: [{program}]}}").unwrap();
        }
        text
    }

    /// How each step must end, worked out by the graph alone.
    fn ends(&self) -> HashMap<String, End> {
        let failing = self.failing();
        let nodes: HashMap<&str, &Node> = self.steps.iter().map(|node| (&*node.id, node)).collect();
        let mut ends: HashMap<String, End> = HashMap::new();
        let mut open: Vec<&Node> = self.steps.iter().collect();
        while let Some(node) = open.pop() {
            if ends.contains_key(&node.id) {
                continue;
            }
            let missing: Vec<&Node> =
                node.needs.iter().filter(|need| !ends.contains_key(*need)).map(|need| nodes[&**need]).collect();
            if !missing.is_empty() {
                open.push(node);
                open.extend(missing);
                continue;
            }
            let runs = match node.join() {
                Some(expression) => holds(&tokens(expression), &ends),
                None => node.needs.iter().all(|need| ends[need] == End::Succeeded),
            };
            let end = match (runs, failing.contains(&node.id)) {
                (false, _) => End::Skipped,
                (true, true) => End::Failed,
                (true, false) => End::Succeeded,
            };
            ends.insert(node.id.clone(), end);
        }
        ends
    }
}

fn graphs(folder: &Path) -> BTreeMap<PathBuf, Graph> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                let text = std::fs::read_to_string(&path).expect("a file");
                let graph = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                found.insert(path, graph);
            }
        }
    }
    found
}

#[test]
fn steps_of_real_structures_start_once_and_after_what_they_need() {
    let Some(folder) = std::env::var_os("RUNBOOK_TEST_DAGS") else {
        return println!("skipped: RUNBOOK_TEST_DAGS names no folder of graphs");
    };
    let graphs = graphs(Path::new(&folder));
    assert!(!graphs.is_empty(), "no graph under {}", folder.display());
    let project = Project::new();
    let names: Vec<String> = (0..graphs.len()).map(|number| format!("dag-{number}")).collect();
    for (name, graph) in names.iter().zip(graphs.values()) {
        project.runbook(name, &graph.yaml());
    }
    let daemon = Daemon::start(&project);
    // All at once: real structures beside each other.
    let runs: Vec<_> = names.iter().map(|name| daemon.exec(name, &[])).collect();
    let mut steps = 0;
    for ((path, graph), run) in graphs.iter().zip(runs) {
        daemon.watch_over(&run.name);
        let run = daemon.get(&run.name);
        let (ids, ends, path) = (graph.ids(), graph.ends(), path.display());
        assert_eq!(run.status(), RunStatus::Succeeded, "{path}");
        assert_eq!(run.steps.len(), graph.steps.len(), "{path}");
        for node in &graph.steps {
            let wanted = match ends[&node.id] {
                End::Succeeded => StepStatus::Succeeded,
                End::Failed => StepStatus::Failed,
                End::Skipped => StepStatus::Skipped,
            };
            let id = &ids[&*node.id];
            let step = run.steps.iter().find(|step| step.id == *id).unwrap_or_else(|| panic!("{path}: no step {id}"));
            assert_eq!(step.status(), wanted, "{path}: {id}, {}", node.id);
        }
        // When each step started and when it was decided, by the numbers of the events.
        let (mut started, mut decided) = (HashMap::new(), HashMap::new());
        for event in daemon.events(&run.name) {
            match event.r#type() {
                EventType::AttemptStarting => {
                    let before = started.insert(event.step.clone(), event.number);
                    assert_eq!(before, None, "{path}: {} started twice", event.step);
                }
                EventType::AttemptEnded | EventType::StepSkipped => {
                    decided.insert(event.step.clone(), event.number);
                }
                _ => {}
            }
        }
        for node in &graph.steps {
            let id = &ids[&*node.id];
            assert_eq!(started.contains_key(id), ends[&node.id] != End::Skipped, "{path}: {id}");
            let Some(start) = started.get(id) else { continue };
            for need in &node.needs {
                assert!(decided[&ids[&**need]] < *start, "{path}: {id} started before {need} was over");
            }
        }
        steps += graph.steps.len();
    }
    println!("{} graphs with {steps} steps", graphs.len());
}

#[test]
fn depends_is_read_as_argo_says() {
    let ends = HashMap::from([
        ("a".to_owned(), End::Succeeded),
        ("b".to_owned(), End::Failed),
        ("c".to_owned(), End::Skipped),
    ]);
    for (text, wanted) in [
        ("a", true),
        ("b", false),
        ("c", true),
        ("c.Succeeded", false),
        ("b.Failed", true),
        ("a && (b.Succeeded || b.Failed)", true),
        ("b || a && c", true),
        ("(b || a) && b", false),
    ] {
        assert_eq!(holds(&tokens(text), &ends), wanted, "{text}");
    }
}
