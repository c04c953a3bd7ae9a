//! What becomes of a runbook that is right.

use super::{EXAMPLE, codes, runbook};
use crate::definition::{Missed, MissedPolicy, Program, Runbook, ScheduleOverlap, Shell};
use crate::id::StepNo;
use crate::schedule::Dst;
use crate::time::Span;

#[test]
fn the_example_becomes_its_definition() {
    assert_eq!(codes(EXAMPLE), [] as [&str; 0]);
    let runbook = runbook(EXAMPLE);
    let json = serde_json::to_string_pretty(&runbook).unwrap();
    assert_eq!(serde_json::from_str::<Runbook>(&json).unwrap(), runbook);
    insta::assert_snapshot!("example", json);
}

#[test]
fn steps_are_numbered_through_both_parts() {
    let runbook = runbook(EXAMPLE);
    let ids: Vec<_> = runbook.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["dump", "publish", "cleanup-old", "mirror", "tell", "last"]);
    assert_eq!(runbook.steps[2].needs, [StepNo(1), StepNo(0)]);
    assert_eq!(runbook.steps[5].needs, [StepNo(4)]);
    let condition = runbook.steps[2].condition.as_ref().unwrap();
    assert!(condition.any_outcome);
    assert_eq!(condition.lifts, [StepNo(1)]);
}

#[test]
fn what_is_inherited() {
    let runbook = runbook(
        "name: a\nlanguage: 1\n\
         defaults: {timeout: 5m, shell: bash, env: {A: d, B: d}, retry: {attempts: 3}, stop: {grace: 1s}}\n\
         steps:\n  s:\n    run: a\n    env: {B: s, C: s}\n    working_dir: /w\n    pass_env: [X]\n\
         \x20   verify: {run: v, env: {C: v}}\n    on_cancel: {argv: [c], timeout: 1s, stop: {grace: 2s}}\n\
         \x20 plain: {run: b, shell: sh, retry: {attempts: 1}}\nfinally:\n  f: {argv: [f]}\n",
    );
    let step = &runbook.steps[0];
    let env = |command: &crate::definition::Command| {
        command.env.iter().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(env(step.command().unwrap()), "A=d B=s C=s");
    assert_eq!(step.command().unwrap().timeout, Some(Span::minutes(5)));
    assert_eq!(step.retry.as_ref().unwrap().attempts, 3);

    let verify = step.verify.as_ref().unwrap();
    assert_eq!(env(verify), "A=d B=s C=v");
    assert_eq!(verify.program, Program::Script { shell: Shell::Bash, text: "v".to_owned() });
    assert_eq!((verify.working_dir.as_deref(), verify.pass_env.as_slice()), (Some("/w"), &["X".to_owned()][..]));
    assert_eq!((verify.timeout, verify.stop.grace), (Some(Span::minutes(10)), Span::seconds(1)));

    let on_cancel = step.on_cancel.as_ref().unwrap();
    assert_eq!((on_cancel.timeout, on_cancel.stop.grace), (Some(Span::seconds(1)), Span::seconds(2)));

    let plain = &runbook.steps[1];
    assert_eq!(plain.command().unwrap().program, Program::Script { shell: Shell::Sh, text: "b".to_owned() });
    assert_eq!(plain.retry.as_ref().unwrap().attempts, 1);
    assert_eq!(runbook.steps[2].command().unwrap().timeout, Some(Span::minutes(5)));
}

#[test]
fn a_step_of_finally_has_a_time_limit_in_any_case() {
    let runbook = runbook("name: a\nlanguage: 1\nsteps: {s: {argv: [a]}}\nfinally: {f: {argv: [f]}}\n");
    assert_eq!(runbook.steps[0].command().unwrap().timeout, None);
    assert_eq!(runbook.steps[1].command().unwrap().timeout, Some(Span::minutes(10)));
}

#[test]
fn a_condition_is_read_with_and_without_its_brackets() {
    for text in
        ["always()", "${{ always() }}", "'${{always()}}'", "\" ${{ always() }} \"", ">-\n      ${{ always()\n      }}"]
    {
        let runbook = runbook(&format!("name: a\nlanguage: 1\nsteps:\n  s:\n    argv: [a]\n    if: {text}\n"));
        let condition = runbook.steps[0].condition.as_ref().unwrap();
        assert_eq!(condition.expression, "always()", "{text}");
        assert!(condition.any_outcome);
    }
}

#[test]
fn a_step_behind_many_ways_of_success_is_sure() {
    let text = |condition: &str| {
        format!(
            "name: a\nlanguage: 1\nsteps:\n  a: {{argv: [a], outputs: {{x: string}}}}\n  b: {{argv: [a], needs: [a]{condition}}}\n  c: {{argv: [a], needs: [b]}}\n  d: {{argv: [\"${{{{ steps.a.outputs.x }}}}\"], needs: [c]}}\n"
        )
    };
    assert_eq!(codes(&text("")), [] as [&str; 0]);
    assert_eq!(codes(&text(", if: true")), [] as [&str; 0]);
    assert_eq!(codes(&text(", if: always()")), ["possible-null"]);
    assert_eq!(codes(&text(", if: failure()")), ["possible-null"]);
    assert_eq!(codes(&text(", if: \"steps.a.status != 'failed'\"")), ["possible-null"]);
}

#[test]
fn schedules_have_what_they_do_not_say() {
    let of = |schedule: &str| {
        let text = format!(
            "name: a\nlanguage: 1\nconcurrency: {{group: g}}\nschedules: {{s: {schedule}}}\nsteps: {{a: {{argv: [a]}}}}\n"
        );
        let runbook = runbook(&text);
        let json = serde_json::to_string(&runbook).unwrap();
        assert_eq!(serde_json::from_str::<Runbook>(&json).unwrap(), runbook);
        runbook.schedules["s"].clone()
    };
    let plain = of("{cron: '@daily'}");
    assert_eq!((plain.when.timezone(), plain.when.dst()), ("UTC", Dst::Cron));
    assert_eq!((plain.missed, plain.overlap), (Missed::default(), ScheduleOverlap::Skip));
    assert_eq!((plain.jitter, plain.start_deadline), (Span::ZERO, Span::minutes(5)));
    let full = of("{cron: '0 2 * * *', timezone: Europe/Amsterdam, dst: twice, overlap: replace, jitter: 10m, \
                   start_deadline: 1h, missed: {policy: run_all, window: 2h, max: 3}}");
    assert_eq!((full.when.timezone(), full.when.dst()), ("Europe/Amsterdam", Dst::Twice));
    let missed = Missed { policy: MissedPolicy::RunAll, window: Span::minutes(120), max: 3 };
    assert_eq!((full.missed, full.overlap), (missed, ScheduleOverlap::Replace));
    assert_eq!((full.jitter, full.start_deadline), (Span::minutes(10), Span::minutes(60)));
}
