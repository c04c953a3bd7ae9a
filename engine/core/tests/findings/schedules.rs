//! Schedules: rules, zones, inputs, overlaps, and what a runbook that nobody watches should have.

pub const CASES: &[(&str, &str)] = &[
    (
        "rules that are none, or are never due",
        "name: a\nlanguage: 1\nschedules:\n  a: {cron: '60 2 * * *'}\n  b: {cron: '0 0 30 2 *'}\n  c: {cron: \"* * * * * *\"}\n  d: {cron: [1]}\n  e: {cron: '@nightly'}\n  f: {}\nsteps: {a: {argv: [a], effect: read, timeout: 1m}}\n",
    ),
    (
        "zones and words",
        "name: a\nlanguage: 1\nschedules:\n  a: {cron: '@daily', timezone: Europe/Amsterdm}\n  b: {cron: '@daily', timezone: CEST, dst: twicee, overlap: forbid, missed: once}\n  c: {cron: '@daily', missed: {window: 2h}, jitter: 5, start_deadline: 0s}\n  d: {cron: '@daily', missed: {policy: run_all, max: 0, cap: 5}, environment: prod}\nsteps: {a: {argv: [a], effect: read, timeout: 1m}}\n",
    ),
    (
        "inputs that a start would refuse",
        "name: a\nlanguage: 1\ninputs:\n  keep: {type: integer, required: true, minimum: 1}\n  mode: {type: string, enum: [full, data]}\n  password: {type: string, secret: true}\nschedules:\n  a: {cron: '@daily'}\n  b: {cron: '@daily', inputs: {keep: 0, mode: ful, kep: 3}}\n  c: {cron: '@daily', inputs: {keep: 1, password: hunter2}}\nsteps: {a: {argv: [a, \"${{ inputs.keep }}\", \"${{ default(inputs.mode, '') }}\"], stdin: \"${{ default(inputs.password, '') }}\", effect: read, timeout: 1m}}\n",
    ),
    (
        "overlaps and the group",
        "name: a\nlanguage: 1\nconcurrency: {group: g}\nschedules: {a: {cron: '@daily', overlap: allow}, b: {cron: '@daily', overlap: queue}}\nsteps: {a: {argv: [a], effect: read, timeout: 1m}}\n",
    ),
    (
        "overlaps without a group",
        "name: a\nlanguage: 1\nschedules: {a: {cron: '@daily', overlap: replace}, b: {cron: '@daily', overlap: allow}}\nsteps: {a: {argv: [a], effect: read, timeout: 1m}}\n",
    ),
    (
        "what is destroyed unwatched",
        "name: a\nlanguage: 1\ninputs: {db: {type: string, default: old}}\nschedules:\n  named: {cron: '@daily', confirm: [db/old]}\n  other: {cron: '@daily', inputs: {db: orders}, confirm: [db/old]}\nsteps:\n  drop: {argv: [drop, \"${{ inputs.db }}\"], effect: destructive, target: \"db/${{ inputs.db }}\", verify: {argv: [v]}, timeout: 1m}\n",
    ),
    (
        "what runs unwatched",
        "name: a\nlanguage: 1\nschedules: {nightly: {cron: '@daily'}}\nsteps:\n  forever: {run: a, effect: read}\n  unproved: {run: b, timeout: 1h}\n  proved: {run: b, timeout: 1h, verify: {run: c}}\n  fine: {run: d, effect: idempotent, timeout: 1h}\n  waits: {uses: wait, with: {for: 1h}}\nfinally:\n  tell: {run: e}\n",
    ),
];
