//! Values of another type, or outside of what a key takes.

pub const CASES: &[(&str, &str)] = &[
    ("ids with one suggestion for both", "name: a\nlanguage: 1\nsteps:\n  a b: {argv: [x]}\n  a/b: {argv: [x]}\n"),
    (
        "text is wanted",
        "name: 1.10\nlanguage: 1\ndescription: [a]\nlabels: {team: {a: b}}\nsteps:\n  a:\n    description:\n    run: true\n  b: {argv: [b, ~, [c]], env: {A: , B: {}}}\n",
    ),
    (
        "numbers and booleans as they are written",
        "name: a\nlanguage: 1\nlabels: {version: 1.10}\nsteps: {a: {argv: [sleep, 0777, 1.10, true], env: {A: 1.10, B: no, C: true}}}\n",
    ),
    (
        "true or false is wanted",
        "name: a\nlanguage: 1\nsteps:\n  a: {argv: [a], allow_failure: yes}\n  b: {argv: [b], allow_failure: Off}\n  c: {argv: [c], allow_failure: maybe}\n  d: {argv: [d], allow_failure: 1}\n",
    ),
    (
        "lists and maps are wanted",
        "name: a\nlanguage: 1\nlabels: [a]\nsteps:\n  a: {argv: a, needs: b}\n  b: [argv]\n  c:\n  d: {argv: [d], outputs: [bytes], retry: 3}\n  e: {argv: [e], outputs: {bytes: {type: integer}}}\n",
    ),
    (
        "numbers of a range",
        "name: a\nlanguage: 1\nmax_parallel: 0\nsteps:\n  a: {argv: [a], retry: {attempts: 1001}}\n  b: {argv: [b], retry: {attempts: '3'}}\n  c: {argv: [c], retry: {attempts: 2, backoff: {factor: 0.5, initial: 2m, max: 1m}}}\n  d: {argv: [], stop: {grace: 2h}}\n  e: {argv: [''], retry: {attempts: 99999999999999999999}}\n  f: {run: ' '}\n  g: {argv: [g], retry: {attempts: 1.5}}\n",
    ),
    (
        "words that a key does not take",
        "name: a\nlanguage: 1\non_failure: contine\nconcurrency: {group: a, overlap: restart}\nattention: {after: 1h, as: retry}\nsteps:\n  a: {argv: [a], effect: write, stop: {signal: KILL, to: all}}\n  b: {run: b, shell: zsh}\n  c: {argv: [c], outputs: {x: int}}\n",
    ),
    (
        "locks of steps",
        "name: a\nlanguage: 1\nrequires: {secrets: [s]}\nsteps:\n  a: {argv: [a], outputs: {n: integer}}\n  b: {argv: [b], locks: ['', 'x-${{ secrets.s }}', 'x-${{ steps.a.outputs.n }}']}\n  c: {uses: wait, with: {for: 1s}, locks: [c]}\n  d: {uses: approval, with: {message: d}, locks: [d]}\n  e: {argv: [e], locks: e}\n  f: {needs: [a], argv: [f], locks: ['x-${{ steps.a.outputs.n }}', b, b]}\n",
    ),
    (
        "durations",
        "name: a\nlanguage: 1\ntimeout: 90\nsteps:\n  a: {argv: [a], timeout: 1.5h}\n  b: {argv: [b], timeout: 5min}\n  c: {argv: [c], timeout: 1h 30m}\n  d: {argv: [d], timeout: 0s}\n  e: {argv: [e], timeout: 400d}\n  f: {argv: [f], timeout: '30m1h'}\n  g: {argv: [g], timeout: [1h]}\n",
    ),
    (
        "names and ids",
        "name: My Backup\nlanguage: 1\nlabels: {Team: a}\nrequires: {secrets: [PG PASSWORD], tools: [/usr/bin/tar, 'pg_dump >= 14']}\ninputs: {9lives: {type: string}}\nsteps:\n  Dump: {argv: [a]}\n  a/b: {argv: [a], outputs: {A: string}}\n  this-id-is-longer-than-any-id-of-the-language-may-be-which-is-sixty-three: {argv: [a]}\n",
    ),
    (
        "variables",
        "name: a\nlanguage: 1\nenv: {MY-VAR: a, 1A: b}\nsteps:\n  a: {argv: [a], env: {RUNBOOK_RUN: a}, pass_env: [HOME, 'A B', HOME]}\n",
    ),
    (
        "paths",
        "name: a\nlanguage: 1\nfiles: [/etc/passwd, ../a, a//b, ./a, '', scripts/a.sh, scripts/a.sh]\nsteps:\n  a: {argv: [a], artifacts: [a/../../b, ok/a.txt, \"a\\tb\"], files: {a/b: x, ..: y, ok: z}}\n",
    ),
    (
        "endpoints and room",
        "name: a\nlanguage: 1\nrequires:\n  endpoints: [localhost, 'https://a@b', {url: 'http://x/${{ inputs.y }}'}, {url: 'https://ok/', expect: [200, 6xx]}, {expect: [200]}]\n  disk: [{path: /var, free: 5}, {path: /var, free: 5 GB}, {path: /var, free: 5 GiB}, {free: 1 KiB}, {path: x, free: 99999999999 TiB}]\nsteps: {a: {argv: [a]}}\n",
    ),
    (
        "versions",
        "name: a\nlanguage: 1\nrequires:\n  tools: [{name: a, version: 14}, {name: b, version: '~1'}, {name: c, version: '>=14,<17.2'}]\nsteps: {a: {argv: [a]}}\n",
    ),
    ("NUL", "name: a\nlanguage: 1\nsteps:\n  a: {argv: [\"a\\0b\"]}\n  b: {run: \"a\\0b\"}\n"),
    (
        "patterns",
        "name: a\nlanguage: 1\ninputs:\n  a: {type: string, pattern: '[a-'}\n  b: {type: string, pattern: '(?x)a #'}\n  c: {type: string, pattern: 'a{1000}{1000}'}\nsteps: {a: {argv: [a]}}\n",
    ),
    (
        "defaults and choices that the input refuses",
        "name: a\nlanguage: 1\ninputs:\n  a: {type: integer, default: '3'}\n  b: {type: string, default: 1.10}\n  c: {type: string, pattern: '[a-z]+', default: A1}\n  d: {type: integer, minimum: 5, maximum: 1}\n  e: {type: number, maximum: 5, default: 7}\n  f: {type: string, enum: [dev, prod, 1], default: prd}\n  g: {type: list, minimum: 1, default: []}\n  h: {type: string, enum: []}\n  i: {type: number, default: .inf}\n  j: {type: boolean, default: yes}\n  k: {type: string, enum: [dev, prod], default: prd}\nsteps: {s: {argv: [s]}}\n",
    ),
    (
        "more than a command takes",
        concat!(
            "name: a\nlanguage: 1\nsteps: {s: {argv: [s]}}\nlocks: [\"",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefX",
            "\", ' ']\n"
        ),
    ),
    (
        "scripts",
        "name: a\nlanguage: 1\ninputs: {database: {type: string, required: true}}\nsteps:\n  a:\n    run: |\n      set -x\n\n        pg_dump ${{ inputs.database }} | gzip > a.gz\n      echo ${{ steps.b.outputs['x-y'] }}\n  b: {run: \"echo '${{ inputs.database }}'\"}\n  c: {run: a | b}\n  d: {run: a | b, shell: bash}\n  e: {run: \"echo 'a | b' || true # a | b\"}\n  f:\n    run: >\n      echo folded\n      | cat ${{ inputs.database }}\n",
    ),
];
