//! Rehearsals as people ask for them: each a runbook, a script, and what the engine makes of it.

use super::*;
use crate::definition::{Runbook, Settlement};
use crate::id::Digest;
use crate::language;
use crate::run::Pinned;
use serde_json::{Map, Value};
use std::sync::Arc;

const RUNBOOK: &str = r#"
name: move
language: 1
on_failure: stop
inputs: {keep: {type: integer, default: 3}}
steps:
  dump:
    argv: [dump]
    effect: read
    retry: {attempts: 3, backoff: {initial: 10s, factor: 2, max: 1m, jitter: full}, if: exit_code != 7}
    outputs: {bytes: integer}
    timeout: 1h
  check: {needs: [dump], if: steps.dump.outputs.bytes > 0, argv: [check], effect: read, success: "exit_code in [0, 4]"}
  switch:
    needs: [check]
    argv: [switch]
    verify: {argv: [switched]}
    on_cancel: {argv: [back]}
  after: {needs: [switch], argv: [after]}
finally:
  tell: {argv: [tell]}
"#;

fn pinned(source: &str) -> Arc<Pinned> {
    let checked = language::check(source.as_bytes(), "move.yaml");
    let runbook = checked.runbook.unwrap_or_else(|| panic!("{:?}", checked.findings));
    Arc::new(Pinned::new(runbook, Digest::of(source.as_bytes()), []))
}

fn setting(runbook: &Runbook) -> Setting {
    let inputs = language::check_inputs(runbook, &Map::new()).unwrap();
    Setting::new(runbook, inputs, 64)
}

fn lived(source: &str, tell: impl FnOnce(&Pinned, &mut Script)) -> Rehearsal {
    let pinned = pinned(source);
    let mut script = Script::default();
    tell(&pinned, &mut script);
    rehearse(&pinned, &setting(&pinned.runbook), &script).unwrap()
}

/// A step at the top.
fn place(pinned: &Pinned, path: &str) -> Place {
    Place::of_work(pinned, path).unwrap_or_else(|no| panic!("{no}"))
}

fn paths(paths: &[&str]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

/// How a rehearsal ended, in one line: the run, each step with its tries, and the time.
fn end(rehearsal: &Rehearsal) -> String {
    let steps = rehearsal
        .state
        .steps()
        .map(|(no, step, _)| format!("{}={}/{}", step.id, rehearsal.state.step_status(no).name(), rehearsal.tries(no)));
    let steps: Vec<_> = steps.collect();
    format!("{} {} {}", rehearsal.status().name(), rehearsal.took(), steps.join(" "))
}

#[test]
fn all_goes_well_where_nothing_is_told() {
    let lived = lived(RUNBOOK, |_, _| {});
    assert_eq!(
        end(&lived),
        "succeeded 5s dump=succeeded/1 check=succeeded/1 switch=succeeded/1 after=succeeded/1 tell=succeeded/1"
    );
    assert_eq!((lived.undone().count(), lived.remains(), lived.guessed.len()), (0, Vec::<String>::new(), 5));
    assert!(lived.unreached.is_empty() && lived.refused.is_empty());
}

#[test]
fn failures_are_retried_as_the_engine_does() {
    let twice = lived(RUNBOOK, |runbook, script| {
        script.end(runbook, "dump@1", End::Failed).unwrap();
        script.end(runbook, "dump@2", End::Failed).unwrap();
        script.duration(runbook, "dump=10m").unwrap();
    });
    // Three tries, and the longest waits between them.
    assert!(end(&twice).starts_with("succeeded 30m34s dump=succeeded/3 "), "{}", end(&twice));
    assert_eq!(twice.took(), Span::seconds(3 * 600 + 10 + 20 + 4));
    let code = lived(RUNBOOK, |pinned, script| script.step(place(pinned, "dump")).always = Some(End::Exited(7)));
    assert_eq!(end(&code), "failed 2s dump=failed/1 check=skipped/0 switch=skipped/0 after=skipped/0 tell=succeeded/1");
    assert_eq!(
        lived(RUNBOOK, |pinned, s| s.step(place(pinned, "dump")).takes = Some(Span::minutes(90))).took(),
        Span::seconds(3 * 3_600 + 31)
    );
}

#[test]
fn what_counts_as_success_is_the_steps_own_word() {
    // `check` takes 4 as well; 1 is the first code that it does not take.
    let four = lived(RUNBOOK, |pinned, script| script.step(place(pinned, "check")).always = Some(End::Exited(4)));
    assert!(end(&four).starts_with("succeeded "), "{}", end(&four));
    let failed = lived(RUNBOOK, |runbook, script| script.end(runbook, "check", End::Failed).unwrap());
    assert_eq!(failed.state.step(StepNo(1)).unwrap().exit_code, Some(1));
    let nothing = lived(RUNBOOK, |pinned, script| {
        script.step(place(pinned, "dump")).outputs = vec![[("bytes".to_owned(), 0.into())].into_iter().collect()];
    });
    assert!(end(&nothing).contains("check=skipped/0 switch=skipped/0"), "{}", end(&nothing));
}

#[test]
fn a_lost_step_is_asked_about_and_a_person_settles_the_rest() {
    let answers = [(Answer::Yes, "succeeded"), (Answer::No, "failed"), (Answer::Silent, "attention")];
    for (answer, expected) in answers {
        let lived = lived(RUNBOOK, |runbook, script| {
            script.end(runbook, "switch", End::Lost).unwrap();
            script.step(place(runbook, "switch")).verify = Some(answer);
        });
        assert_eq!(lived.status().name(), expected, "{answer:?}");
    }
    let settled = lived(RUNBOOK, |runbook, script| {
        script.end(runbook, "after", End::Lost).unwrap();
        script.step(place(runbook, "after")).resolve = Some(crate::definition::Settlement::Failed);
    });
    assert_eq!(settled.status().name(), "failed");
    assert_eq!(settled.remains(), [settled.id(StepNo(2))]);
    let waits = lived(RUNBOOK, |runbook, script| script.end(runbook, "after", End::Lost).unwrap());
    assert_eq!(waits.status().name(), "attention");
}

#[test]
fn a_crash_of_the_daemon_changes_nothing_but_its_own_place() {
    let plain = lived(RUNBOOK, |runbook, script| script.end(runbook, "dump@1", End::Failed).unwrap());
    for step in ["dump", "check", "switch", "after", "tell"] {
        let crashed = lived(RUNBOOK, |runbook, script| {
            script.end(runbook, "dump@1", End::Failed).unwrap();
            script.crash(runbook, step).unwrap();
        });
        assert_eq!(crashed.events, plain.events, "{step}");
        assert_eq!(crashed.crashes.len(), 1, "{step}");
    }
}

#[test]
fn a_cancel_goes_the_way_of_every_ending() {
    let canceled = lived(RUNBOOK, |pinned, script| {
        script.cancel = Some(Cancel { when: When::During(place(pinned, "switch")), now: false });
    });
    // `on_cancel`, then `verify`, which says that it happened; then `finally`.
    assert_eq!(
        end(&canceled),
        "canceled 5s dump=succeeded/1 check=succeeded/1 switch=succeeded/1 after=canceled/0 tell=succeeded/1"
    );
    let late = lived(RUNBOOK, |_, script| {
        script.cancel = Some(Cancel { when: When::After(Span::minutes(5)), now: true });
    });
    assert_eq!(late.unreached, ["no cancel: the run was over before 5m"]);
    let refused = lived(RUNBOOK, |pinned, script| {
        script.cancel = Some(Cancel { when: When::During(place(pinned, "tell")), now: true });
    });
    assert_eq!(refused.refused.len(), 1, "{:?}", refused.refused);
}

#[test]
fn what_the_script_tells_in_vain_is_said() {
    let lived = lived(RUNBOOK, |runbook, script| {
        script.end(runbook, "dump", End::Failed).unwrap();
        script.end(runbook, "switch", End::Failed).unwrap();
        script.end(runbook, "tell@2", End::Failed).unwrap();
        script.crash(runbook, "after").unwrap();
        script.step(place(runbook, "check")).resolve = Some(crate::definition::Settlement::Failed);
    });
    assert_eq!(
        lived.unreached,
        [
            "step check was never unknown, so nobody had to resolve it",
            "step switch never started",
            "step tell never came to its try 2: it was tried once",
            "no crash: step after never started",
        ]
    );
}

#[test]
fn words_that_name_nothing_are_refused() {
    let pinned = pinned(RUNBOOK);
    let mut script = Script::default();
    let runbook = &*pinned;
    for (done, why) in [
        (script.end(runbook, "swich", End::Failed), "`move` has no step `swich`; did you mean `switch`?"),
        (script.end(runbook, "dump@0", End::Failed), "`0` is no try: tries are numbered from 1 to 1000"),
        (script.crash(runbook, "nothing-like-it"), "`move` has no step `nothing-like-it`"),
        (script.duration(runbook, "dump"), "`dump` has no `=`; write it as STEP=10m"),
    ] {
        assert_eq!(done, Err(why.to_owned()));
    }
    assert!(script.duration(runbook, "dump=10").is_err());
    assert_eq!(script, Script::default());
}

#[test]
fn every_failure_has_its_end() {
    let pinned = pinned(RUNBOOK);
    let mut ends = Vec::new();
    every_failure(&pinned, &setting(&pinned.runbook), &Script::default(), |step, lived| {
        ends.push(format!("{step}: {} {:?}", lived.status().name(), lived.remains()));
    })
    .unwrap();
    assert_eq!(
        ends,
        [
            "dump: failed []",
            "check: failed []",
            "switch: failed []",
            "after: failed [\"switch\"]",
            "tell: failed [\"switch\", \"after\"]",
        ]
    );
}

#[test]
fn coverage_counts_what_rehearsals_came_to() {
    let pinned = pinned(RUNBOOK);
    let mut coverage = Coverage::default();
    coverage.add(&lived(RUNBOOK, |_, _| {}));
    let never: Vec<String> = Coverage::all(&pinned.runbook)
        .into_iter()
        .flat_map(|(_, marks)| marks)
        .filter(|mark| !coverage.has(&pinned.runbook, mark))
        .map(|mark| mark.text(&pinned.runbook))
        .collect();
    assert_eq!(
        never,
        ["the `if` of check is false", "the `verify` of switch is asked", "the `on_cancel` of switch runs"]
    );
}

#[test]
fn no_script_goes_on_for_ever() {
    // Nobody answers, and whoever settles it wants it tried again: once, and not for ever.
    let lived = lived(RUNBOOK, |runbook, script| {
        script.end(runbook, "after", End::Lost).unwrap();
        script.step(place(runbook, "after")).resolve = Some(Settlement::Retry);
    });
    assert_eq!((lived.status().name(), lived.tries(StepNo(3))), ("attention", 2));
}

const UNDO: &str = r#"
name: move
language: 1
rollback: automatic
steps:
  network: {argv: [n], rollback: {argv: [u]}}
  disk: {needs: [network], argv: [d], rollback: {argv: [u]}}
  image: {argv: [i], effect: read}
  machine: {needs: [disk, image], argv: [m], rollback: {argv: [u]}}
  traffic: {needs: [machine], argv: [t], no_return: true}
  check: {needs: [traffic], argv: [c]}
finally:
  tell: {argv: [tell], if: "run.outcome == 'rolled_back'"}
"#;

#[test]
fn what_is_compensated_is_told_and_what_stays() {
    let failing = |step: &str| lived(UNDO, |runbook, script| script.end(runbook, step, End::Failed).unwrap());
    let undone = |lived: &Rehearsal| lived.undone().map(|(no, _)| no.0).collect::<Vec<_>>();
    let machine = failing("machine");
    assert_eq!(
        end(&machine),
        "rolled_back 6s network=rolled_back/1 disk=rolled_back/1 image=succeeded/1 machine=failed/1 traffic=skipped/0 \
         check=skipped/0 tell=succeeded/1"
    );
    assert_eq!((machine.compensated(), machine.remains()), (paths(&["disk", "network"]), vec![]));
    assert_eq!(undone(&machine), [3, 4, 5]);
    // Behind a point of no return nothing is rolled back by itself.
    let check = failing("check");
    assert_eq!((check.status().name(), check.compensated()), ("failed", paths(&[])));
    assert_eq!(check.remains(), [0, 1, 3, 4].map(|no| check.id(StepNo(no))));
}

#[test]
fn a_rollback_that_fails_waits_for_the_scripts_person() {
    let lived = |resolve: Option<Settlement>| {
        lived(UNDO, |runbook, script| {
            script.end(runbook, "machine", End::Failed).unwrap();
            let disk = script.step(place(runbook, "disk"));
            disk.rollback_fails = Some(true);
            disk.resolve = resolve;
        })
    };
    let stuck = lived(None);
    assert_eq!((stuck.status().name(), stuck.compensated()), ("attention", paths(&[])));
    assert_eq!(stuck.remains(), [0, 1].map(|no| stuck.id(StepNo(no))));
    let by_hand = lived(Some(Settlement::Succeeded));
    assert_eq!((by_hand.status().name(), by_hand.compensated()), ("rolled_back", paths(&["disk", "network"])));
    let left = lived(Some(Settlement::Skipped));
    assert_eq!((left.status().name(), left.compensated()), ("failed", paths(&["network"])));
    assert_eq!(left.remains(), [left.id(StepNo(1))]);
}

#[test]
fn what_a_block_did_is_compensated_step_by_step() {
    const BLOCK: &str = r#"
name: move
language: 1
rollback: automatic
steps:
  place:
    steps:
      network: {argv: [n], rollback: {argv: [u]}}
      disk: {needs: [network], argv: [d], rollback: {argv: [u]}}
  machine: {needs: [place], argv: [m]}
"#;
    let lived = lived(BLOCK, |runbook, script| script.end(runbook, "machine", End::Failed).unwrap());
    assert_eq!(end(&lived), "rolled_back 5s place=rolled_back/1 machine=failed/1");
    assert_eq!(lived.compensated(), ["place"]);
}

#[test]
fn only_rollbacks_that_come_by_themselves_count_as_coverage() {
    let count = |source: &str| {
        let [_, _, (_, compensations)] = Coverage::all(&pinned(source).runbook);
        compensations.len()
    };
    assert_eq!((count(UNDO), count(&UNDO.replace("automatic", "manual"))), (3, 0));
}

const SCENARIOS: &str = "
runbook: move
language: 1
scenarios:
  the dump fails twice:
    inputs: {keep: 1}
    steps:
      dump: {tries: [failed, 3], takes: 1m}
    expect: {outcome: succeeded, tries: {dump: 3}, at_most: 10m, steps: {tell: succeeded}}
  nobody knows whether it switched:
    steps:
      switch: {always: lost, verify: 'no'}
      after: {crash: true}
    expect: {outcome: succeeded, steps: {after: pending}, at_most: 1s, remains: [dump], tries: {switch: 2}}
";

#[test]
fn scenarios_say_what_they_expect() {
    let pinned = pinned(RUNBOOK);
    let checked = language::check_scenarios(SCENARIOS.as_bytes(), "move.scenarios.yaml", &Default::default(), |name| {
        assert_eq!(name, "move");
        Ok(Arc::clone(&pinned))
    });
    let scenarios = checked.scenarios.unwrap_or_else(|| panic!("{:?}", checked.findings));
    let unmet: Vec<Vec<String>> = scenarios
        .iter()
        .map(|scenario| {
            let setting = Setting::new(&pinned.runbook, scenario.inputs.clone(), 64);
            scenario.expect.unmet(&rehearse(&pinned, &setting, &scenario.script).unwrap())
        })
        .collect();
    assert_eq!(unmet[0], Vec::<String>::new());
    assert_eq!(
        unmet[1],
        [
            "the run should be succeeded, it is failed",
            "step after should be pending, it is skipped",
            "step switch should be tried 2 times, it was 1",
            "it should take at most 1s, it took 5s",
            "what stays should be dump, it is nothing",
        ]
    );
    assert_eq!(scenarios.iter().map(|s| s.line).collect::<Vec<_>>(), [5, 10]);
    assert_eq!(language::scenarios_of(SCENARIOS.as_bytes()).as_deref(), Some("move"));
}

const REPEATS: &str = r#"
name: move
language: 1
steps:
  poll:
    effect: read
    repeat: {until: iteration.outputs.left == 0, max: 4, every: 1m}
    argv: [poll]
    outputs: {left: integer}
  settle:
    needs: [poll]
    effect: read
    repeat: {until: "default(iteration.exit_code, 1) in [0, 3]", max: 4, every: 10s}
    argv: [settle]
"#;

#[test]
fn work_is_done_again_until_it_is_done() {
    let left = |counts: &[i64]| -> Vec<_> {
        counts.iter().map(|count| [("left".to_owned(), Value::from(*count))].into_iter().collect()).collect()
    };
    let tell = |outputs: &[i64], ends: &[End]| {
        let outputs = left(outputs);
        let ends = ends.to_vec();
        end(&lived(REPEATS, |runbook, script| {
            script.step(place(runbook, "poll")).outputs = outputs;
            let settle = script.step(place(runbook, "settle"));
            settle.tries = (1..).zip(ends).collect();
        }))
    };
    let (good, bad) = (End::Exited(0), End::Exited(1));
    assert_eq!(tell(&[0], &[good]), "succeeded 2s poll=succeeded/1 settle=succeeded/1");
    assert_eq!(tell(&[2, 1, 0], &[bad, good]), "succeeded 2m15s poll=succeeded/1 settle=succeeded/1");
    // What `until` ends with a failed iteration fails.
    assert_eq!(tell(&[0], &[bad, End::Exited(3)]), "failed 13s poll=succeeded/1 settle=failed/1");
    assert_eq!(tell(&[1], &[]), "failed 3m4s poll=failed/1 settle=skipped/0");
    assert_eq!(tell(&[0], &[bad; 4]), "failed 35s poll=succeeded/1 settle=failed/1");
}

#[test]
fn why_nothing_more_is_done_is_told() {
    let lived = lived(REPEATS, |_, _| {});
    let poll = lived.state.pinned().find("poll").unwrap();
    let message = &lived.state.step(poll).unwrap().message;
    assert_eq!(message, "`until` does not hold after 4 iterations");
}

mod below;
