//! Files of environments: what is refused in them.

/// The cases.
pub const CASES: &[(&str, &str)] = &[
    (
        "nothing is wrong",
        "name: prod\nlanguage: 1\ndescription: Here.\ndefault: true\nschedules: false\nvalues: {region: eu, n: 1, hosts: [a], x: {y: 1.5}}\ninputs: {keep: 3, to: there}\nx-any: thing\n",
    ),
    ("keys", "name: prod\nlanguages: 1\nvalue: {a: 1}\nsecrets: [a]\nvars: {a: b}\n"),
    ("another language", "name: prod\nlanguage: 2\nvalues: [a]\n"),
    (
        "values that are none",
        "name: Prod\nlanguage: 1\nvalues: {a: null, B: 1, c: .inf, d: \"${{ inputs.a }}\", e: 9999999999999999999}\ninputs: [keep]\ndefault: yes\nschedules: never\n",
    ),
    ("what inputs do not take", "name: prod\nlanguage: 1\ninputs: {keep: many, to: 7, key: abc}\n"),
    ("below what is taken", "name: prod\nlanguage: 1\ninputs: {keep: 0}\n"),
    ("inputs that there are not", "name: prod\nlanguage: 1\ninputs: {kept: 3, size: 2, nothing-like-it: 1}\n"),
    ("an input and a value of one name", "name: prod\nlanguage: 1\nvalues: {keep: 3, size: 4}\n"),
    (
        "what protects it",
        "name: prod\nlanguage: 1\nprotection:\n  roles: [ops]\n  confirm: prod\n  approvals: {roles: [ops], count: 2, not_requester: true, timeout: 4h}\n  hours: {timezone: Europe/Amsterdam, allowed: [mon-fri 09:00-17:00]}\n  freezes: {rest: {from: \"2026-12-20T00:00:00+01:00\", to: \"2027-01-04T00:00:00Z\", reason: rest}}\n  override: {roles: [lead]}\n",
    ),
    (
        "what protects nothing",
        "name: prod\nlanguage: 1\nfreezes: {}\nprotection:\n  roles: []\n  role: [a]\n  confirm: \" prod\"\n  approvals: 2\n  hours: {timezone: Amsterdam, allowed: []}\n  freezes:\n    a: {from: tomorrow, to: 2026-12-20, reason: x}\n    b: {from: \"2027-01-04T00:00:00Z\", to: \"2026-12-20T00:00:00Z\", reason: x}\n    c: {from: \"2026-12-20T00:00:00Z\"}\n  override: {role: a}\n",
    ),
    (
        "hours that are none",
        "name: prod\nlanguage: 1\nprotection: {hours: {allowed: [mon-fri 9-17, weekdays 09:00-17:00, mon 10:00-10:00, 900, always]}}\n",
    ),
    (
        "approvals of nobody",
        "name: prod\nlanguage: 1\nprotection: {approvals: {roles: [], count: 0, timeout: 1ms, on_timeout: approve}}\n",
    ),
    (
        "roles that nobody has",
        "name: prod\nlanguage: 1\nprotection: {roles: [opps], approvals: {roles: [leads, ops]}, override: {roles: [chief]}}\n",
    ),
    ("no hours at all", "name: prod\nlanguage: 1\nprotection: {hours: {allowed: []}}\n"),
    ("no map", "- a\n"),
    ("empty", ""),
];
