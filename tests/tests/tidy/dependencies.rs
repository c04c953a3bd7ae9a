//! Which crate reaches which: the arrows of the house point one way, and what has no place in it stays out. Asks
//! `cargo metadata`; never knows sources.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::repository::{none, read, root};

/// Our crates, each with those of ours that it may name. A new crate needs a line here, and a reason for each arrow.
const ARROWS: [(&str, &[&str]); 8] = [
    ("runbook-proto", &[]),
    ("runbook-core", &[]),
    ("runbook-shim", &[]),
    ("runbook-journal", &["runbook-core", "runbook-proto"]),
    ("runbook-actions", &["runbook-core"]),
    ("runbookd", &["runbook-actions", "runbook-core", "runbook-journal", "runbook-proto", "runbook-shim"]),
    ("runbook", &["runbook-proto"]),
    (
        "runbook-tests",
        &["runbook-actions", "runbook-core", "runbook-journal", "runbook-proto", "runbook-shim", "runbookd"],
    ),
];

/// What a pure crate never reaches, however indirectly: runtimes, storage, network, the system, clocks, chance.
const IMPURE: [&str; 20] = [
    "tokio",
    "mio",
    "async-std",
    "smol",
    "sled",
    "tonic",
    "prost",
    "hyper",
    "h2",
    "reqwest",
    "socket2",
    "rustix",
    "notify",
    "getrandom",
    "rand",
    "rand_core",
    "fastrand",
    "uuid",
    "jiff",
    "time",
];

/// What is nowhere in the tree: other TLS stacks, and what wants a system's `protoc` or cmake.
const BANNED: [&str; 8] =
    ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls", "cmake", "protobuf-src", "protoc-bin-vendored"];

/// Licences that a program of ours may be built from.
const LICENCES: [&str; 12] = [
    "MIT",
    "MIT-0",
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "CC0-1.0",
    "Unicode-3.0",
    "BSL-1.0",
];

/// Packages and their normal dependencies, as cargo resolved them for this machine.
struct Graph {
    names: HashMap<String, String>,
    licences: BTreeMap<String, String>,
    members: BTreeSet<String>,
    normal: HashMap<String, Vec<String>>,
}

impl Graph {
    fn get() -> &'static Self {
        static GRAPH: OnceLock<Graph> = OnceLock::new();
        GRAPH.get_or_init(Self::ask)
    }

    fn ask() -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let version = Command::new(&cargo).arg("-vV").output().expect("cargo runs");
        let version = String::from_utf8(version.stdout).expect("UTF-8");
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo names its host");
        // Only this machine's part of the tree: what builds the tests has fetched no more than that.
        let asked = Command::new(&cargo)
            .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", host])
            .current_dir(root())
            .output()
            .expect("cargo runs");
        assert!(asked.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&asked.stderr));
        let metadata: Value = serde_json::from_slice(&asked.stdout).expect("JSON");

        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let packages = list(&metadata["packages"]);
        let names: HashMap<String, String> = packages.iter().map(|it| (text(&it["id"]), text(&it["name"]))).collect();
        let licences = packages.iter().map(|it| (text(&it["name"]), text(&it["license"]))).collect();
        let members =
            list(&metadata["workspace_members"]).iter().filter_map(|id| names.get(&text(id)).cloned()).collect();
        let is_normal = |it: &&Value| list(&it["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
        let normal = list(&metadata["resolve"]["nodes"])
            .iter()
            .map(|node| {
                let deps = list(&node["deps"]);
                (text(&node["id"]), deps.iter().filter(is_normal).map(|it| text(&it["pkg"])).collect())
            })
            .collect();
        Self { names, licences, members, normal }
    }

    fn id(&self, name: &str) -> &String {
        let found = self.names.iter().find(|(_, it)| it.as_str() == name);
        found.unwrap_or_else(|| panic!("there is no package {name}")).0
    }

    /// The names of a crate's own normal dependencies.
    fn names_of(&self, name: &str) -> BTreeSet<&str> {
        self.normal[self.id(name)].iter().map(|id| self.names[id].as_str()).collect()
    }

    /// The names of everything that a crate is built from.
    fn reach(&self, name: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut open = vec![self.id(name)];
        while let Some(id) = open.pop() {
            open.extend(self.normal[id].iter().filter(|next| seen.insert(*next)));
        }
        seen.into_iter().map(|id| self.names[id].as_str()).collect()
    }

    fn reached_of(&self, name: &str, wanted: &[&'static str]) -> Vec<&'static str> {
        let reached = self.reach(name);
        wanted.iter().copied().filter(|it| reached.contains(it)).collect()
    }
}

#[test]
fn the_core_reaches_nothing_impure() {
    let graph = Graph::get();
    assert_eq!(graph.reached_of("runbook-core", &IMPURE), [""; 0]);
    // The control: what the daemon is built from, the same function finds.
    let daemon = graph.reached_of("runbookd", &IMPURE);
    for name in ["tokio", "mio", "sled", "tonic", "prost", "hyper", "rustix", "notify", "getrandom", "uuid"] {
        assert!(daemon.contains(&name), "the daemon is built from {name}, which went unseen: {daemon:?}");
    }
}

#[test]
fn the_calendar_of_the_core_has_no_clock() {
    // chrono is there for zones. What reads the time in it is behind features, which no other crate may turn on here.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}:{f}"];
    let features = |package: &str| -> String {
        let asked = Command::new(&cargo).args(arguments).args(["-p", package]).current_dir(root()).output();
        let asked = asked.expect("cargo runs");
        assert!(asked.status.success(), "cargo tree: {}", String::from_utf8_lossy(&asked.stderr));
        String::from_utf8(asked.stdout).expect("UTF-8")
    };
    let core = features("runbook-core");
    let chrono = core.lines().find(|line| line.starts_with("chrono v")).expect("the core has a calendar");
    assert!(chrono.ends_with(":alloc,std"), "{chrono}");
    // The control: features are shown as they are written.
    assert!(features("runbookd").lines().any(|line| line.starts_with("tokio v") && line.contains("rt-multi-thread")));
}

#[test]
fn small_things_stay_small() {
    let graph = Graph::get();
    let heavy = ["tokio", "sled", "tonic", "prost"];
    assert_eq!(graph.reached_of("runbook-shim", &heavy), [""; 0], "the shim is small, synchronous, without a runtime");
    // What is carried out without a process is carried out there, by a runtime that the daemon gives.
    let stored = ["sled", "tonic", "prost"];
    assert_eq!(graph.reached_of("runbook-actions", &stored), [""; 0], "actions know no storage and no API of ours");
    assert_eq!(graph.reached_of("runbook", &["sled", "serde_yaml", "granit-parser"]), [""; 0], "the client is thin");
    assert_eq!(graph.reached_of("runbookd", &heavy), heavy, "the control");
}

#[test]
fn arrows_between_our_crates_point_one_way() {
    let graph = Graph::get();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let members: BTreeSet<&str> = graph.members.iter().map(String::as_str).collect();
    assert_eq!(members, known, "every crate of the workspace has its line in ARROWS");
    let mut arrows = 0;
    for (name, may) in ARROWS {
        let own: Vec<&str> = graph.names_of(name).into_iter().filter(|it| known.contains(it)).collect();
        arrows += own.len();
        none(&format!("{name} knows a crate that it must not know"), &strangers(&own, may));
    }
    assert!(arrows >= 9, "the control: only {arrows} arrows were seen");
    assert_eq!(strangers(&["runbook-core", "runbookd"], &["runbook-core"]), ["runbookd"], "the control");
}

fn strangers(own: &[&str], may: &[&str]) -> Vec<String> {
    own.iter().filter(|it| !may.contains(it)).map(|it| (*it).to_owned()).collect()
}

#[test]
fn storage_and_wire_stop_at_their_doors() {
    let graph = Graph::get();
    let who = |dependency: &str| -> Vec<&str> {
        ARROWS.iter().map(|(name, _)| *name).filter(|name| graph.names_of(name).contains(dependency)).collect()
    };
    assert_eq!(who("sled"), ["runbook-journal"]);
    assert_eq!(who("prost"), ["runbook-proto", "runbook-journal", "runbookd"]);
    assert_eq!(who("tonic"), ["runbook-proto", "runbookd", "runbook", "runbook-tests"]);
}

#[test]
fn what_is_banned_is_nowhere_in_the_tree() {
    // The lock file holds the tree of every platform and feature.
    let lock = read("Cargo.lock");
    let has = |name: &str| lock.contains(&format!("name = \"{name}\"\n"));
    let found: Vec<_> = BANNED.into_iter().filter(|name| has(name)).collect();
    assert_eq!(found, [""; 0]);
    assert!(has("tokio") && has("sled"), "the control: the lock file is not read as it is written");
}

#[test]
fn every_licence_is_permissive() {
    let graph = Graph::get();
    let refused: Vec<String> = graph
        .licences
        .iter()
        .filter(|(_, licence)| !is_permissive(licence))
        .map(|(name, licence)| format!("{name}: {licence:?}"))
        .collect();
    none("not a licence that we build from", &refused);
    assert!(graph.licences.len() > 150, "the control: only {} packages were seen", graph.licences.len());
    for (licence, wanted) in [
        ("AGPL-3.0", false),
        ("MIT AND GPL-3.0-only", false),
        ("", false),
        ("MIT OR GPL-3.0-only", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("Unlicense/MIT", true),
    ] {
        assert_eq!(is_permissive(licence), wanted, "{licence}");
    }
}

/// Whether one of the alternatives of an SPDX expression is ours to take. Parentheses are understood around `OR`.
fn is_permissive(licence: &str) -> bool {
    let one = |name: &str| LICENCES.contains(&name.trim());
    let any = |text: &str| text.replace('/', " OR ").split(" OR ").any(one);
    match licence.split_once(") AND ") {
        Some((left, right)) => any(left.trim_start_matches('(')) && any(right),
        None => licence.replace('/', " OR ").split(" OR ").any(|all| all.split(" AND ").all(one)),
    }
}
