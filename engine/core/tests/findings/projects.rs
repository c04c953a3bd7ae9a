//! Cases of several files: (what, files by path and text).

/// A name and files.
type Case = (&'static str, &'static [(&'static str, &'static str)]);

const RESTORE: &str = "\
name: restore
language: 1
inputs:
  dump: {type: string, required: true}
  keep: {type: integer, default: 7, maximum: 9}
  key: {type: string, secret: true}
outputs:
  rows: {type: integer, value: steps.load.outputs.rows}
steps:
  load:
    argv: [load, \"${{ inputs.dump }}\", \"${{ inputs.keep }}\"]
    env: {KEY: \"${{ default(inputs.key, '') }}\"}
    outputs: {rows: integer}
";

/// The cases.
pub const CASES: &[Case] = &[
    (
        "a step starts another runbook and reads its outputs",
        &[
            ("restore.yaml", RESTORE),
            (
                "prove.yaml",
                "\
name: prove
language: 1
steps:
  prove:
    uses: runbook
    with: {name: restore, inputs: {dump: /tmp/x}}
  tell:
    needs: [prove]
    if: steps.prove.outputs.rows > 0
    argv: [tell, \"${{ steps.prove.outputs.rows }}\"]
",
            ),
        ],
    ),
    (
        "what is given is held against what is taken",
        &[
            ("restore.yaml", RESTORE),
            (
                "prove.yaml",
                "\
name: prove
language: 1
inputs: {from: {type: string, required: true}}
requires: {secrets: [token]}
steps:
  a:
    uses: runbook
    with: {name: restore, inputs: {dumb: /tmp/x, keep: 7}}
  b:
    uses: runbook
    with: {name: restore, inputs: {dump: /tmp/x, keep: 12}}
  c:
    uses: runbook
    with: {name: restore, inputs: {dump: \"${{ inputs.from }}\", keep: \"${{ inputs.from }}\"}}
  d:
    uses: runbook
    with: {name: restore, inputs: {dump: \"${{ secrets.token }}\", key: \"${{ inputs.from }}\"}}
  e:
    needs: [a]
    argv: [tell, \"${{ steps.a.outputs.row }}\"]
",
            ),
        ],
    ),
    (
        "a required input is not given",
        &[
            ("restore.yaml", RESTORE),
            (
                "prove.yaml",
                "\
name: prove
language: 1
steps:
  a: {uses: runbook, with: {name: restore, inputs: {keep: 1}}}
",
            ),
        ],
    ),
    (
        "the other runbook is not there, or not said",
        &[
            ("restore.yaml", RESTORE),
            (
                "prove.yaml",
                "\
name: prove
language: 1
steps:
  a: {uses: runbook, with: {name: restor}}
  b: {uses: runbook}
  c: {uses: runbok, with: {name: restore}}
  d: {argv: [a], with: {name: restore}}
  e: {uses: runbook, run: echo, effect: read, with: {name: restore, inputs: {dump: x}}}
",
            ),
        ],
    ),
    (
        "who starts a broken runbook is broken",
        &[
            ("a.yaml", "name: a\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: b}}}\n"),
            ("b.yaml", "name: b\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: c}}}\n"),
            ("c.yaml", "name: c\nlanguage: 1\nsteps: {s: {argvv: [x]}}\n"),
        ],
    ),
    (
        "`finally` waits for nobody, nor for what it starts",
        &[
            (
                "a.yaml",
                "\
name: a
language: 1
steps:
  s: {uses: runbook, with: {name: b}}
finally:
  t: {uses: runbook, with: {name: b}}
  u: {uses: runbook, with: {name: d}, timeout: 1h, verify: {argv: [v]}, outputs: {n: integer}}
",
            ),
            ("b.yaml", "name: b\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: c}}}\n"),
            ("c.yaml", "name: c\nlanguage: 1\nsteps: {s: {uses: approval, with: {message: go}}}\n"),
            ("d.yaml", "name: d\nlanguage: 1\nsteps: {s: {argv: [x]}}\n"),
        ],
    ),
    (
        "what another runbook destroys is asked about before",
        &[
            (
                "a.yaml",
                "\
name: a
language: 1
steps:
  s: {uses: runbook, with: {name: b}}
  ask: {uses: approval, with: {message: really}}
  t: {needs: [ask], uses: runbook, with: {name: b}}
  u: {uses: runbook, with: {name: c}}
",
            ),
            ("b.yaml", "name: b\nlanguage: 1\nsteps: {s: {argv: [x], effect: destructive, target: all}}\n"),
            (
                "c.yaml",
                "\
name: c
language: 1
steps:
  ask: {uses: approval, with: {message: really}}
  s: {needs: [ask], argv: [x], effect: destructive, target: all}
",
            ),
        ],
    ),
    (
        "runbooks start each other in a circle",
        &[
            ("a.yaml", "name: a\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: b}}}\n"),
            ("b.yaml", "name: b\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: c}}}\n"),
            ("c.yaml", "name: c\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: a}}}\n"),
            ("d.yaml", "name: d\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: d}}}\n"),
        ],
    ),
    (
        "runs start runs too deep",
        &[
            ("a.yaml", "name: a\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: b}}}\n"),
            ("b.yaml", "name: b\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: c}}}\n"),
            ("c.yaml", "name: c\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: d}}}\n"),
            ("d.yaml", "name: d\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: e}}}\n"),
            ("e.yaml", "name: e\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: f}}}\n"),
            ("f.yaml", "name: f\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: g}}}\n"),
            ("g.yaml", "name: g\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: h}}}\n"),
            ("h.yaml", "name: h\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: i}}}\n"),
            ("i.yaml", "name: i\nlanguage: 1\nsteps: {s: {uses: runbook, with: {name: j}}}\n"),
            ("j.yaml", "name: j\nlanguage: 1\nsteps: {s: {argv: [x]}}\n"),
        ],
    ),
    (
        "outputs of a runbook",
        &[(
            "a.yaml",
            "\
name: a
language: 1
outputs:
  wrong: {type: string, value: steps.s.outputs.n}
  maybe: {type: integer, value: steps.t.outputs.n}
  late: {type: string, value: steps.f.status}
  fine: {type: integer, value: \"default(steps.t.outputs.n, 0)\"}
  list: {type: list, value: \"${{ [steps.s.outputs.n] }}\"}
steps:
  s: {argv: [x], outputs: {n: integer}}
  t: {argv: [x], outputs: {n: integer}, if: \"steps.s.outputs.n > 0\", needs: [s]}
finally:
  f: {argv: [x]}
",
        )],
    ),
    (
        "expressions within a list are not worked out",
        &[
            (
                "a.yaml",
                "name: a\nlanguage: 1\ninputs: {hosts: {type: list}}\nsteps: {s: {argv: [\"${{ size(default(inputs.hosts, [])) }}\"]}}\n",
            ),
            (
                "b.yaml",
                "\
name: b
language: 1
inputs: {host: {type: string, required: true}}
steps:
  s: {uses: runbook, with: {name: a, inputs: {hosts: [\"${{ inputs.host }}\"]}}}
  t: {uses: runbook, with: {name: a, inputs: {hosts: \"${{ [inputs.host] }}\"}}}
",
            ),
        ],
    ),
];
