//! Keys that are unknown, missing, or exclude each other.

pub const CASES: &[(&str, &str)] = &[
    (
        "unknown keys",
        "name: a\nlanguage: 1\ndescripton: b\nworkers: 3\nx-free: {anything: [goes]}\nsteps:\n  a:\n    argv: [a]\n    neds: [b]\n    x-note: free\n    retry: {attempts: 2, backof: {}}\n    verify: {argv: [b], retry: {attempts: 2}}\n",
    ),
    (
        "keys of other programs",
        "name: a\nlanguage: 1\non: push\njobs:\n  a: {}\nsteps:\n  a: {script: x, depends_on: [b], working-directory: c, argv: [a]}\n",
    ),
    (
        "keys of the later language",
        "name: a\nlanguage: 1\nschedules: {nightly: {cron: '0 2 * * *'}}\nrollback: automatic\nsteps:\n  a: {uses: http, with: {url: x}}\n  b: {argv: [b], for_each: [1, 2], rollback: {argv: [c]}}\n",
    ),
    ("nothing but a name", "name: a\n"),
    (
        "missing keys",
        "language: 1\ninputs:\n  a: {}\nrequires: {tools: [{version: '>=1'}]}\nconcurrency: {}\nattention: {after: 1h}\nsteps:\n  a: {}\n  b: {description: only words}\n  c: {argv: [a], retry: {}, verify: {timeout: 1m}}\n",
    ),
    ("another language", "name: a\nlanguage: 2\nstages: [anything]\n"),
    ("no steps", "name: a\nlanguage: 1\nsteps: {}\n"),
    (
        "run and argv",
        "name: a\nlanguage: 1\nsteps:\n  a: {run: 'true', argv: ['true']}\n  b: {argv: [b], shell: bash}\n",
    ),
    (
        "inputs that exclude themselves",
        "name: a\nlanguage: 1\ninputs:\n  a: {type: string, required: true, default: x}\n  b: {type: string, secret: true, default: x}\n  c: {type: boolean, minimum: 1}\n  d: {type: integer, pattern: a}\nsteps: {s: {argv: [s]}}\n",
    ),
    (
        "targets",
        "name: a\nlanguage: 1\nsteps:\n  a: {argv: [a], effect: destructive}\n  b: {argv: [b], target: postgres}\n  c: {argv: [c], effect: destructive, target: postgres}\n",
    ),
    (
        "verify on what may be repeated",
        "name: a\nlanguage: 1\nsteps:\n  a: {argv: [a], effect: read, verify: {argv: [b]}}\n  b: {argv: [a], verify: {argv: [b]}}\n",
    ),
    ("one id in both parts", "name: a\nlanguage: 1\nsteps: {a: {argv: [a]}}\nfinally: {a: {argv: [a]}}\n"),
];
