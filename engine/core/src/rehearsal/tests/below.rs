//! What is told, expected and counted of steps below the top: in blocks, for items, in iterations, and in runbooks that are
//! started.

use super::*;

const CHILD: &str = r#"
name: child
language: 1
rollback: automatic
steps:
  load: {argv: [load], rollback: {argv: [unload]}}
  look: {needs: [load], if: "inputs.deep", argv: [look], effect: read}
inputs: {deep: {type: boolean, default: false}}
"#;

const TREE: &str = r#"
name: tree
language: 1
rollback: automatic
steps:
  up:
    for_each: [n1, n2, n3]
    max_parallel: 1
    steps:
      drain: {argv: [drain], rollback: {argv: [undrain]}}
      inner: {needs: [drain], steps: {one: {argv: [one], retry: {attempts: 2}, rollback: {argv: [undo]}}}}
      chk: {needs: [inner], argv: [chk], effect: read}
    finally:
      reopen: {argv: [reopen], effect: idempotent}
  copy: {needs: [up], for_each: [a, b], argv: [copy, "${{ item }}"], retry: {attempts: 2}}
  rep:
    needs: [copy]
    repeat: {until: iteration.outputs.left == 0, max: 4}
    outputs: {left: {type: integer, value: steps.x.outputs.left}}
    steps:
      x: {argv: [x], effect: read, outputs: {left: integer}, retry: {attempts: 2}}
  call: {needs: [rep], uses: runbook, with: {name: child}}
"#;

fn tree() -> Arc<Pinned> {
    let [child, tree] = both(TREE);
    Pinned::rehearsed(&tree, None, &|name| (name == child.name).then_some(&child))
}

/// The runbook that is started, and the one at the top.
fn both(top: &str) -> [Runbook; 2] {
    let texts = [("child.yaml", CHILD), ("tree.yaml", top)].map(|(file, text)| (file.to_owned(), text.into()));
    let checked = language::check_project(texts, [], [], None, |_, _| None).into_iter();
    let read = checked.map(|file| file.checked.runbook.unwrap_or_else(|| panic!("{:?}", file.checked.findings)));
    read.collect::<Vec<_>>().try_into().unwrap()
}

/// Lives through the tree, whose `rep` is over after two iterations.
fn lived(tell: impl FnOnce(&Pinned, &mut Script)) -> Rehearsal {
    let pinned = tree();
    let mut script = usual(&pinned);
    tell(&pinned, &mut script);
    rehearse(&pinned, &setting(&pinned.runbook), &script).unwrap()
}

fn usual(pinned: &Pinned) -> Script {
    let left = |count: i64| [("left".to_owned(), Value::from(count))].into_iter().collect();
    let mut script = Script::default();
    script.step(place(pinned, "rep/x")).outputs = vec![left(1), left(0)];
    script
}

fn status(lived: &Rehearsal, path: &str) -> Vec<String> {
    let place = Place::parse(lived.state.pinned(), path).unwrap();
    lived.statuses(&place).into_iter().map(|(path, status)| format!("{path} {}", status.name())).collect()
}

fn tries(lived: &Rehearsal, path: &str) -> Vec<u32> {
    lived.tries_at(&Place::parse(lived.state.pinned(), path).unwrap().work(lived.state.pinned()))
}

#[test]
fn a_step_below_fails_alone() {
    let lived = lived(|pinned, script| script.end(pinned, "up[\"n2\"]/chk", End::Failed).unwrap());
    assert_eq!(lived.status().name(), "rolled_back");
    assert_eq!(
        status(&lived, "up/chk"),
        ["up[\"n1\"]/chk succeeded", "up[\"n2\"]/chk failed", "up/chk skipped"],
        "the third node is never begun"
    );
    assert_eq!(status(&lived, "up[2]/reopen"), ["up[\"n2\"]/reopen succeeded"]);
    assert_eq!(status(&lived, "up[n1]/drain"), ["up[\"n1\"]/drain rolled_back"]);
    assert_eq!(lived.compensated(), ["up[\"n2\"]/inner", "up[\"n2\"]/drain", "up[\"n1\"]"]);
    assert!(lived.unreached.is_empty(), "{:?}", lived.unreached);
}

#[test]
fn what_is_said_of_all_items_holds_for_each_and_what_is_said_of_one_goes_before_it() {
    let every = lived(|pinned, script| {
        script.end(pinned, "up/inner/one@1", End::Failed).unwrap();
        script.duration(pinned, "up/inner/one=1m").unwrap();
        script.duration(pinned, "up[n3]/inner/one=10m").unwrap();
    });
    assert_eq!((every.status().name(), tries(&every, "up/inner/one")), ("succeeded", vec![2, 2, 2]));
    assert!(every.took() > Span::minutes(24) && every.took() < Span::minutes(26), "{}", every.took());
    let but = lived(|pinned, script| {
        script.end(pinned, "copy", End::Failed).unwrap();
        script.end(pinned, "copy[b]", End::Succeeded).unwrap();
    });
    assert_eq!(status(&but, "copy[1]"), ["copy[\"a\"] failed"]);
    assert_eq!(status(&but, "copy[2]"), ["copy[\"b\"] succeeded"]);
    assert_eq!(tries(&but, "copy"), [2, 1]);
    let once = lived(|pinned, script| script.end(pinned, "copy@1", End::Failed).unwrap());
    assert_eq!((once.status().name(), tries(&once, "copy")), ("succeeded", vec![2, 2]), "each counts by itself");
}

#[test]
fn iterations_are_counted_together_unless_one_is_named() {
    let second = lived(|pinned, script| script.end(pinned, "rep/x@2", End::Failed).unwrap());
    assert_eq!(tries(&second, "rep/x"), [3]);
    assert_eq!((tries(&second, "rep[1]/x"), tries(&second, "rep[2]/x")), (vec![1], vec![2]));
    let named = lived(|pinned, script| script.end(pinned, "rep[2]/x", End::Failed).unwrap());
    assert_eq!((named.status().name(), tries(&named, "rep[2]/x")), ("rolled_back", vec![2]));
    assert_eq!(status(&named, "rep/x"), ["rep[1]/x succeeded", "rep[2]/x failed"]);
    let never = lived(|pinned, script| script.end(pinned, "rep[3]/x", End::Failed).unwrap());
    assert_eq!(never.unreached, ["step rep[3]/x never started"]);
}

#[test]
fn a_runbook_that_is_started_is_told_of_by_its_own_steps() {
    let failed = lived(|pinned, script| script.end(pinned, "call/load", End::Failed).unwrap());
    assert_eq!(status(&failed, "call/load"), ["call/load failed"]);
    assert_eq!(status(&failed, "call"), ["call failed"]);
    let stuck = lived(|pinned, script| {
        script.end(pinned, "call/load", End::Lost).unwrap();
        script.step(place(pinned, "call/load")).resolve = Some(Settlement::Failed);
    });
    assert_eq!(stuck.status().name(), "rolled_back");
    assert!(stuck.unreached.is_empty(), "{:?}", stuck.unreached);
}

#[test]
fn a_crash_below_changes_nothing_but_its_own_place() {
    let plain = lived(|_, _| {});
    for path in [
        "up",
        "up/drain",
        "up[3]/chk",
        "up[n2]/inner",
        "up[n1]/reopen",
        "copy",
        "copy[b]",
        "rep[2]/x",
        "call",
        "call/load",
    ] {
        let crashed = lived(|pinned, script| script.crash(pinned, path).unwrap());
        assert!(crashed.unreached.is_empty(), "{path}: {:?}", crashed.unreached);
        assert_eq!((crashed.crashes.len(), crashed.events == plain.events), (1, true), "{path}");
    }
}

#[test]
fn paths_that_lead_nowhere_say_where_they_stop() {
    let pinned = tree();
    let mut script = Script::default();
    for (path, why) in [
        ("call/lod", "`call` of `tree` has no step `lod`; did you mean `call/load`?"),
        ("up/drian", "`up` of `tree` has no step `drian`; did you mean `up/drain`?"),
        ("up[n2]/inner/two", "`up[\"n2\"]/inner` of `tree` has no step `two`"),
        ("up[n7]/chk", "there is no `up[n7]`; did you mean `up[\"n1\"]`?"),
        ("rep[5]/x", "there is no `rep[5]`; the last one is `rep[4]`"),
        ("up[4]/chk", "there is no `up[4]`; the last one is `up[\"n3\"]`"),
        ("call[1]/load", "`call` has no items and no iterations, so there is no `call[1]`"),
        ("up[1][1]/chk", "`up[\"n1\"]` has no items and no iterations, so there is no `up[\"n1\"][1]`"),
        ("up/chk/a", "`up/chk` has no steps of its own, so there is no `up/chk/a`"),
        ("chk", "`tree` has no step `chk`; did you mean `up/chk`?"),
        ("up", "`up` has steps of its own: say which of them, as `up/drain`"),
        ("up[1]/inner", "`up[\"n1\"]/inner` has steps of its own: say which of them, as `up[\"n1\"]/inner/one`"),
        ("call", "`call` has steps of its own: say which of them, as `call/load`"),
        ("", "`tree` has no step ``"),
        ("/up", "`tree` has no step `/up`; did you mean `up`?"),
        ("up[n2", "`up` of `tree` has no step `[n2`"),
    ] {
        assert_eq!(script.end(&pinned, path, End::Failed), Err(why.to_owned()), "{path}");
    }
    assert_eq!(script, Script::default());
}

#[test]
fn signs_in_the_names_of_items_are_no_tries_and_no_durations() {
    let source = TREE.replace("for_each: [a, b]", "for_each: [root@a, b=c]");
    let [_, top] = both(&source);
    let pinned = Pinned::rehearsed(&top, None, &|_| None);
    let mut script = Script::default();
    script.end(&pinned, "copy[root@a]@2", End::Lost).unwrap();
    script.duration(&pinned, "copy[b=c]=1m").unwrap();
    let told: Vec<_> = script.steps.iter().map(|(place, told)| (place.text(), told.tries.len(), told.takes)).collect();
    assert_eq!(told, [("copy[\"b=c\"]", 0, Some(Span::minutes(1))), ("copy[\"root@a\"]", 1, None)]);
    assert_eq!(
        script.end(&pinned, "call/load", End::Failed),
        Err("`call` starts `child`, which is not there, so there is no `call/load`".to_owned())
    );
}

#[test]
fn every_step_of_the_tree_fails_by_itself() {
    let pinned = tree();
    let mut ends = Vec::new();
    let left = every_failure(&pinned, &setting(&pinned.runbook), &usual(&pinned), |place, lived| {
        let failed = lived.statuses(place).iter().filter(|(_, status)| *status == StepStatus::Failed).count();
        assert_eq!(
            (failed, lived.began(place)),
            (usize::from(lived.unreached.is_empty()), lived.unreached.is_empty()),
            "{place}"
        );
        ends.push(format!("{place}: {}; back: {}", lived.status().name(), lived.compensated().join(" ")));
    });
    assert_eq!(left, Ok(0));
    assert_eq!(
        ends,
        [
            "up[\"n3\"]/drain: rolled_back; back: up[\"n2\"] up[\"n1\"]",
            "up[\"n3\"]/inner/one: rolled_back; back: up[\"n3\"]/drain up[\"n2\"] up[\"n1\"]",
            "up[\"n3\"]/chk: rolled_back; back: up[\"n3\"]/inner up[\"n3\"]/drain up[\"n2\"] up[\"n1\"]",
            "up[\"n3\"]/reopen: rolled_back; back: up[\"n3\"] up[\"n2\"] up[\"n1\"]",
            "copy[\"b\"]: rolled_back; back: up",
            "rep[2]/x: rolled_back; back: up",
            "call/load: rolled_back; back: up",
            "call/look: succeeded; back: ",
        ],
        "of items and iterations the last one"
    );
}

#[test]
fn what_is_left_out_of_a_large_tree_is_counted() {
    let (places, left) = crate::rehearsal::place::every_place(&tree(), 4, crate::rehearsal::place::can_fail);
    let paths: Vec<&str> = places.iter().map(Place::text).collect();
    assert_eq!((paths, left), (vec!["up/drain", "up/inner/one", "up/chk", "up/reopen"], 4));
    let (places, left) = crate::rehearsal::place::every_place(&tree(), 100, |_| true);
    assert_eq!((places.len(), left), (12, 0), "with the steps that have these");
}

#[test]
fn what_is_expected_below_is_held_against_each_item() {
    let pinned = tree();
    let lived = lived(|pinned, script| script.end(pinned, "up[2]/chk", End::Failed).unwrap());
    let at = |path: &str| Place::parse(&pinned, path).unwrap();
    let mut expect = Expectation::default();
    for (path, status) in [("up/drain", "rolled_back"), ("up[n2]/reopen", "succeeded"), ("call/load", "skipped")] {
        expect.steps.insert(at(path), status.to_owned());
    }
    expect.tries = [(at("up/chk"), 1), (at("call/load"), 0)].into_iter().collect();
    expect.remains = Some(Vec::new());
    assert_eq!(expect.unmet(&lived), ["step up/drain should be rolled_back, it is skipped"]);
    expect.steps = [(at("up/chk"), "canceled".to_owned())].into_iter().collect();
    expect.tries.insert(at("up[n2]/inner/one"), 3);
    expect.remains = Some(vec![at("up[n1]")]);
    assert_eq!(
        expect.unmet(&lived),
        [
            "step up[\"n1\"]/chk should be canceled, it is succeeded, and so for 2 more",
            "step up[\"n2\"]/inner/one should be tried 3 times, it was 1",
            "what stays should be up[\"n1\"], it is nothing",
        ]
    );
}

#[test]
fn what_stays_below_stays_of_every_step_above() {
    let lived = lived(|pinned, script| {
        script.end(pinned, "up[2]/chk", End::Failed).unwrap();
        script.step(place(pinned, "up[1]/drain")).rollback_fails = Some(true);
        script.step(place(pinned, "up[1]/drain")).resolve = Some(Settlement::Skipped);
    });
    let pinned = tree();
    assert_eq!(lived.remains(), ["up[\"n1\"]/drain"]);
    let unmet = |paths: &[&str]| {
        let remains = paths.iter().map(|path| Place::parse(&pinned, path).unwrap()).collect();
        Expectation { remains: Some(remains), ..Expectation::default() }.unmet(&lived).len()
    };
    assert_eq!((unmet(&["up"]), unmet(&["up[n1]"]), unmet(&["up/drain"])), (0, 0, 0));
    assert_eq!((unmet(&[]), unmet(&["up[n2]"]), unmet(&["up", "call"])), (1, 1, 1));
}

#[test]
fn coverage_is_of_the_whole_tree() {
    let pinned = tree();
    let child = pinned.called("child").unwrap();
    let never = |runbook: &Runbook, coverage: &Coverage| -> Vec<String> {
        let all = Coverage::all(runbook).into_iter().flat_map(|(_, marks)| marks);
        all.filter(|mark| !coverage.has(runbook, mark)).map(|mark| mark.text(runbook)).collect()
    };
    let mut coverage = Coverage::default();
    assert_eq!(Coverage::all(&pinned.runbook).map(|(_, marks)| marks.len()), [10, 0, 2]);
    coverage.add(&lived(|pinned, script| script.end(pinned, "up[2]/inner/one", End::Failed).unwrap()));
    assert_eq!(
        never(&pinned.runbook, &coverage),
        ["step copy runs", "step rep runs", "step rep/x runs", "step call runs"],
        "the first node was all of it, but for nothing"
    );
    coverage.add(&lived(|_, _| {}));
    assert_eq!(never(&pinned.runbook, &coverage), paths(&[]));
    assert_eq!(
        never(&child.runbook, &coverage),
        ["step look runs", "the `if` of look is true", "the `rollback` of load runs"],
        "what a runbook does counts as its own, whoever starts it"
    );
}
