//! Files of scenarios: what is refused in them, against the runbook of these cases.

/// What the scenarios are about.
pub const RUNBOOK: &str = "\
name: backup
language: 1
inputs: {keep: {type: integer, default: 7, minimum: 1}, to: {type: string, required: true}}
steps:
  dump: {argv: [dump, \"${{ inputs.to }}\"], outputs: {bytes: integer}}
  keep: {needs: [dump], argv: [keep, \"${{ inputs.keep }}\"], verify: {argv: [kept]}}
  copy:
    needs: [keep]
    for_each: [eu, us]
    steps:
      send: {argv: [send, \"${{ item }}\"], outputs: {sent: integer}}
  prove: {needs: [copy], uses: runbook, with: {name: prove}}
";

/// What it starts.
pub const PROVE: &str = "\
name: prove
language: 1
steps:
  load: {argv: [load]}
";

pub const CASES: &[(&str, &str)] = &[
    (
        "nothing is wrong",
        "runbook: backup\nlanguage: 1\nscenarios:\n  good:\n    inputs: {to: a}\n    steps: {dump: {tries: [failed, 3], outputs: {bytes: 0}}, keep: {always: lost, verify: 'no'}}\n    cancel: {after: 1m}\n    expect: {outcome: attention, steps: {dump: failed}, tries: {dump: 2}, remains: [keep], at_most: 1h}\n",
    ),
    ("another runbook", "runbook: bakup\nlanguage: 1\nscenarios: {a: {}}\n"),
    ("no scenario", "runbook: backup\nlanguage: 1\nscenarios: {}\n"),
    ("keys", "runbook: backup\nname: a\nscenario: {}\n"),
    (
        "steps that are not there",
        "runbook: backup\nlanguage: 1\nscenarios:\n  a:\n    inputs: {to: a}\n    steps: {dmp: {always: failed}}\n    cancel: {during: kep}\n    expect: {steps: {tell: failed}, tries: {x: 1}, remains: [dumb]}\n",
    ),
    (
        "steps below the top",
        "runbook: backup\nlanguage: 1\nscenarios:\n  good:\n    inputs: {to: a}\n    steps: {'copy[\"us\"]/send': {tries: [failed], outputs: {sent: 1}}, 'copy[1]/send': {takes: 1m}, copy/send: {always: lost}, prove/load: {crash: true}, copy: {crash: true}}\n    cancel: {during: copy/send}\n    expect: {steps: {copy/send: failed, 'copy[us]': failed}, tries: {'copy[us]/send': 2}, remains: ['copy[eu]']}\n",
    ),
    (
        "steps below the top that are not there",
        "runbook: backup\nlanguage: 1\nscenarios:\n  a:\n    inputs: {to: a}\n    steps: {send: {always: failed}, copy/sned: {always: failed}, 'copy[uk]/send': {always: failed}, 'copy[3]/send': {always: failed}, 'keep[1]': {always: failed}, dump/a: {always: failed}, prove/lod: {always: failed}, 'copy[1': {always: failed}}\n",
    ),
    (
        "what says nothing of a step with steps of its own",
        "runbook: backup\nlanguage: 1\nscenarios:\n  a:\n    inputs: {to: a}\n    steps:\n      copy: {always: failed}\n      'copy[eu]': {tries: [failed], takes: 1m}\n      prove: {outputs: {a: 1}, always: 3}\n",
    ),
    (
        "ends that are none",
        "runbook: backup\nlanguage: 1\nscenarios:\n  a:\n    inputs: {to: a}\n    steps:\n      dump: {tries: [fail, 300, true], always: looses, takes: 10, verify: maybe, exit: 3}\n",
    ),
    (
        "what a step does not have",
        "runbook: backup\nlanguage: 1\nscenarios:\n  a:\n    inputs: {to: a}\n    steps:\n      dump: {verify: 'yes', on_cancel: failed, outputs: {bytes: many, byte: 1}}\n",
    ),
    (
        "inputs that a start would refuse",
        "runbook: backup\nlanguage: 1\nscenarios:\n  a: {inputs: {keep: 0, too: x}}\n  b: {}\n",
    ),
    (
        "where it takes place",
        "runbook: backup\nlanguage: 1\nscenarios:\n  a: {environment: prod}\n  b: {environment: dev, inputs: {to: a}}\n  c: {environment: pord, inputs: {to: a}}\n",
    ),
    (
        "when it is canceled",
        "runbook: backup\nlanguage: 1\nscenarios:\n  a: {inputs: {to: a}, cancel: {}}\n  b: {inputs: {to: a}, cancel: {during: dump, after: 1m}}\n",
    ),
    (
        "what is expected",
        "runbook: backup\nlanguage: 1\nscenarios:\n  a: {inputs: {to: a}, expect: {outcome: success, steps: {dump: done}, tries: {dump: -1}, status: failed}}\n",
    ),
];
