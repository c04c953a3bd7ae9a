//! Bad input is refused, and large input is taken, in bounded time and on a small stack.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test of time needs a clock and a thread")]

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::language::{Checked, check};
use crate::limits;

/// What no check may take, however slow the machine: far above what any takes, far below what an unbounded one would.
const PATIENCE: Duration = Duration::from_secs(60);
/// The stack of a check here: recursion along a chain of steps would overflow it many times.
const STACK: usize = 2 << 20;

/// Checks on a thread of its own.
fn answer(source: String) -> Checked {
    let begun = Instant::now();
    let thread = std::thread::Builder::new().stack_size(STACK);
    let checked = thread.spawn(move || check(source.as_bytes(), "test.yaml")).unwrap().join().unwrap();
    assert!(begun.elapsed() < PATIENCE, "took {:?}", begun.elapsed());
    checked
}

/// The code and message of the only finding.
fn refusal(source: String) -> String {
    let checked = answer(source);
    assert!(checked.runbook.is_none());
    match checked.findings.as_slice() {
        [finding] => format!("{}:{} {}: {}", finding.line, finding.column, finding.code, finding.message),
        findings => panic!("{findings:#?}"),
    }
}

/// A runbook of this many steps, each made by its number.
fn steps(count: usize, step: impl Fn(usize) -> String) -> String {
    let mut text = "name: a\nlanguage: 1\nsteps:\n".to_owned();
    for number in 0..count {
        let _ = writeln!(text, "  s{number}: {{argv: [a]{}}}", step(number));
    }
    text
}

fn chain(number: usize) -> String {
    number.checked_sub(1).map(|before| format!(", needs: [s{before}]")).unwrap_or_default()
}

#[test]
fn nesting_is_bounded_before_anything_recurses() {
    let flow = "1:65 nested-too-deep: lists and maps are nested deeper than 64, the limit";
    assert_eq!(refusal("[".repeat(10_000)), flow);
    assert_eq!(refusal("[".repeat(100_000) + &"]".repeat(100_000)), flow);
    assert_eq!(
        refusal("{a: ".repeat(10_000)),
        "1:257 nested-too-deep: lists and maps are nested deeper than 64, the limit"
    );
    let block = (0..1_000).fold(String::new(), |text, depth| text + &" ".repeat(depth) + "a:\n");
    assert!(refusal(block).contains("nested-too-deep"));
    assert!(refusal("- ".repeat(10_000)).contains("nested-too-deep"));
    assert!(refusal("? ".repeat(10_000)).contains("nested-too-deep"));
    // Aliases nest too.
    let mut aliases = "x0: &x0 [a]\n".to_owned();
    for n in 1..200 {
        let _ = writeln!(aliases, "x{n}: &x{n} [*x{}]", n - 1);
    }
    assert_eq!(refusal(aliases), "64:12 nested-too-deep: lists and maps are nested deeper than 64, the limit");
}

#[test]
fn aliases_cost_what_they_stand_for() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..40 {
        let nine = vec![format!("*a{}", n - 1); 9].join(", ");
        let _ = writeln!(bomb, "a{n}: &a{n} [{nine}]");
    }
    assert!(refusal(bomb).contains("YAML nodes; the limit is 2000000"));
    let mut text = format!("x-a: &a {}\nx-b:\n", "y".repeat(1 << 20));
    text.push_str(&"  - *a\n".repeat(40));
    assert!(refusal(text).contains("bytes of text; the limit is 33554432"));
}

#[test]
fn defaults_do_not_multiply_without_bound() {
    let mut text = steps(limits::STEPS, |_| String::new());
    let _ = writeln!(text, "defaults: {{env: {{A: {}}}}}", "x".repeat(30_000));
    assert_eq!(
        refusal(text),
        "50004:1 over-limit: `defaults` adds 1500050000 bytes to all steps together; the limit is 33554432"
    );
}

#[test]
fn steps_are_counted() {
    assert_eq!(
        refusal(steps(60_000, |_| String::new())),
        "50004:3 over-limit: the runbook has 60000 steps; the limit is 50000"
    );
    // Nothing else is asked about such a file: not what a second reader sees in it.
    let odd = |number| if number == 0 { ", description: \"\\uD834\\uDD1E\"".to_owned() } else { String::new() };
    assert!(refusal(steps(2, odd)).contains("readers-disagree"));
    assert!(refusal(steps(60_000, odd)).contains("over-limit"));
}

#[test]
fn a_chain_of_all_steps_is_taken() {
    for need in [chain as fn(usize) -> String, |n| match n + 1 < limits::STEPS {
        true => format!(", needs: [s{}]", n + 1),
        false => String::new(),
    }] {
        let checked = answer(steps(limits::STEPS, need));
        assert_eq!(checked.findings, []);
        assert_eq!(checked.runbook.unwrap().steps.len(), limits::STEPS);
    }
}

#[test]
fn a_long_circle_is_named_in_short() {
    let checked = answer(steps(10_000, |n| format!(", needs: [s{}]", (n + 1) % 10_000)));
    let [finding] = checked.findings.as_slice() else { panic!("{:?}", checked.findings) };
    assert_eq!(
        finding.message,
        "these steps need each other in a circle: s0 → s1 → s2 → s3 → s4 → s5 → s6 → s7 → … (9992 more) → s0"
    );
    assert_eq!((finding.line, finding.column), (4, 27));
}

#[test]
fn references_far_up_a_long_chain_are_followed() {
    let count = 8_000;
    let far = |n: usize| match n {
        0 => ", outputs: {o: string}".to_owned(),
        n => format!(
            ", needs: [s{}], outputs: {{o: string}}, env: {{A: \"${{{{ steps.s{}.outputs.o }}}}\"}}",
            n - 1,
            n / 2
        ),
    };
    let checked = answer(steps(count, far));
    assert_eq!(checked.findings, []);
    // The same with the other end of the chain: nothing is upstream.
    let wrong = |n: usize| {
        format!("{}, outputs: {{o: string}}, env: {{A: \"${{{{ steps.s{}.outputs.o }}}}\"}}", chain(n), count - 1)
    };
    let checked = answer(steps(count, wrong));
    assert_eq!((checked.findings.len(), checked.suppressed), (limits::FINDINGS, count - limits::FINDINGS));
}

#[test]
fn many_findings_are_counted_and_do_not_take_long() {
    let checked = answer(steps(10_000, |n| format!(", needs: [t{n}]")));
    assert_eq!((checked.findings.len(), checked.suppressed), (limits::FINDINGS, 10_000 - limits::FINDINGS));
    let twice = "  a: {argv: [a]}\n".repeat(10_000);
    let checked = answer(format!("name: a\nlanguage: 1\nsteps:\n{twice}"));
    assert!(checked.suppressed > 9_000);
    // Faults in a text whose places cannot be told exactly: all of them are one.
    let many = "${{ inputs.x }}".repeat(100_000);
    let checked = answer(format!("name: a\nlanguage: 1\nsteps:\n  a: {{argv: [a], stdin: \"\\x41{many}\"}}\n"));
    assert_eq!(checked.findings.len(), 1);
    let script = "      ${{ x }}\n".repeat(7_000);
    let checked = answer(format!("name: a\nlanguage: 1\nsteps:\n  a:\n    run: |\n{script}"));
    assert_eq!((checked.findings.len(), checked.suppressed), (limits::FINDINGS, 7_000 - limits::FINDINGS));
}

#[test]
fn errors_come_before_warnings_when_there_is_no_room() {
    let text = steps(limits::FINDINGS + 10, |_| String::new()).replace("argv: [a]", "run: a | b") + "  bad: {}\n";
    let checked = answer(text);
    assert!(checked.runbook.is_none());
    assert_eq!((checked.findings.len(), checked.suppressed), (limits::FINDINGS, 11));
    assert_eq!(checked.findings.last().map(|f| f.code.text()), Some("missing-key"));
}

#[test]
fn limits_of_one_command_are_told_with_limit_and_size() {
    let one = |key: &str, value: String| {
        let checked = answer(format!("name: a\nlanguage: 1\nsteps:\n  a:\n    {key}: {value}\n"));
        checked.findings.iter().map(|f| f.message.clone()).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(one("run", "x".repeat(100_000)), "the script has 100000 bytes; the limit is 98304");
    assert_eq!(one("argv", format!("[{}]", "x".repeat(40_000))), "the argument has 40000 bytes; the limit is 32768");
    let arguments = vec!["x".repeat(30_000); 40].join(", ");
    assert_eq!(
        one("argv", format!("[{arguments}]")),
        "arguments and environment have 1200040 bytes together; the limit is 1048576"
    );
    let env = format!("{{A: {}}}", "x".repeat(40_000));
    assert_eq!(one("argv: [a]\n    env", env), "the value has 40000 bytes; the limit is 32768");
    let outputs = (0..300).map(|n| format!("o{n}: string")).collect::<Vec<_>>().join(", ");
    assert_eq!(one("argv: [a]\n    outputs", format!("{{{outputs}}}")), "`outputs` has 300 outputs; the limit is 256");
    let path = format!("[{}]", "x".repeat(2_000));
    assert_eq!(one("argv: [a]\n    artifacts", path), "the path has 2000 bytes; the limit is 1024");
    let condition = format!("1 {}", "+ 1 ".repeat(600));
    assert!(one("argv: [a]\n    if", condition).contains("1024"), "the limit is told");
}
