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
    (
        "values of environments are known by name and type",
        &[
            ("environments/dev.yaml", "name: dev\nlanguage: 1\nvalues: {region: local, n: 1, mixed: a}\n"),
            ("environments/prod.yaml", "name: prod\nlanguage: 1\nvalues: {region: eu, hosts: [a, b], mixed: 1}\n"),
            (
                "a.yaml",
                "\
name: a
language: 1
env: {WHERE: \"${{ environment.name }}/${{ environment.values.region }}\"}
concurrency: {group: \"${{ environment.values.regoin }}\"}
steps:
  s: {argv: [x, \"${{ environment.values.n }}\", \"${{ default(environment.values.n, 0) + 1 }}\"]}
  t: {if: environment.values.mixed == 'a', argv: [x], target: \"${{ environment.values.region }}\", effect: destructive}
  u: {if: environment.value.region, argv: [x]}
",
            ),
            (
                "b.yaml",
                "\
name: b
language: 1
environments: [prod]
steps: {s: {if: size(environment.values.hosts) > 1, argv: [x]}, t: {argv: [x, \"${{ environment.values.n }}\"]}}
",
            ),
            ("c.yaml", "name: c\nlanguage: 1\nenvironments: [prd, prod, prod]\nsteps: {s: {argv: [x]}}\n"),
            ("d.yaml", "name: d\nlanguage: 1\nenvironments: []\nsteps: {s: {argv: [x]}}\n"),
        ],
    ),
    (
        "there is no environment",
        &[(
            "a.yaml",
            "\
name: a
language: 1
schedules: {night: {cron: '@daily', environment: prod}}
steps: {s: {effect: read, timeout: 1h, argv: [x, \"${{ environment.values.region }}\", \"${{ environment.name }}\"]}}
",
        )],
    ),
    (
        "schedules take what their environment gives",
        &[
            ("environments/dev.yaml", "name: dev\nlanguage: 1\nvalues: {host: b}\ninputs: {n: 0}\n"),
            ("environments/prod.yaml", "name: prod\nlanguage: 1\nvalues: {host: a}\ninputs: {n: 3, to: there}\n"),
            (
                "a.yaml",
                "\
name: a
language: 1
inputs: {n: {type: integer, required: true, minimum: 1}, to: {type: string, default: here}}
schedules:
  good: {cron: '@daily', environment: prod, confirm: [a/there]}
  low: {cron: '@daily', environment: dev}
  none: {cron: '@daily', inputs: {n: 1}}
  unknown: {cron: '@daily', environment: prd, inputs: {n: 1}}
  unconfirmed: {cron: '@daily', environment: prod, inputs: {n: 1, to: x}}
steps:
  s:
    effect: destructive
    target: \"${{ environment.values.host }}/${{ inputs.to }}\"
    timeout: 1h
    verify: {argv: [x]}
    argv: [x, \"${{ inputs.n }}\"]
",
            ),
            (
                "b.yaml",
                "\
name: b
language: 1
environments: [prod]
inputs: {n: {type: integer, default: 1}, to: {type: string, default: here}}
schedules: {other: {cron: '@daily', environment: dev, inputs: {n: 1}}}
steps: {s: {effect: read, timeout: 1h, argv: [x, \"${{ inputs.n }}${{ inputs.to }}\"]}}
",
            ),
        ],
    ),
    (
        "a schedule destroys in its environment what nobody confirmed",
        &[
            ("environments/prod.yaml", "name: prod\nlanguage: 1\ndefault: true\nvalues: {host: a}\n"),
            (
                "a.yaml",
                "\
name: a
language: 1
schedules: {named: {cron: '@daily', confirm: [disk/a]}, unnamed: {cron: '@daily', confirm: [disk/b]}}
steps:
  s: {effect: destructive, target: \"disk/${{ environment.values.host }}\", timeout: 1h, verify: {argv: [x]}, argv: [x]}
",
            ),
        ],
    ),
    (
        "environments of one name, and two defaults",
        &[
            ("environments/a.yaml", "name: prod\nlanguage: 1\ndefault: true\n"),
            ("environments/b.yaml", "name: prod\nlanguage: 1\n"),
            ("environments/c.yaml", "name: dev\nlanguage: 1\ndefault: true\n"),
            ("sub/environments/d.yml", "name: test\nlanguage: 1\ndefault: false\n"),
        ],
    ),
    (
        "roles that the configuration gives to nobody",
        &[(
            "runbooks/a.yaml",
            "name: a\nlanguage: 1\nsteps:\n  a: {uses: approval, with: {message: a, roles: [dbs, dba]}}\n  b: {steps: {c: {uses: approval, with: {message: c, roles: [keyholder]}}}}\n",
        )],
    ),
    (
        "pools that the configuration does not have",
        &[
            (
                "a.yaml",
                "name: a\nlanguage: 1\ndefaults: {pool: backup}\nsteps:\n  a: {argv: [a]}\n  b: {argv: [b], pool: tape}\n  c: {steps: {d: {argv: [d], pool: apy}}}\n",
            ),
            (
                "b.yaml",
                "name: b\nlanguage: 1\ndefaults: {pool: backups}\nsteps: {a: {argv: [a]}, b: {argv: [b], pool: api}}\n",
            ),
        ],
    ),
];
