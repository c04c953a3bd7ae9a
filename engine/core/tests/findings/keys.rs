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
        "name: a\nlanguage: 1\nschedules: {nightly: {cron: '0 2 * * *'}}\nobjective: {rpo: 24h}\nsteps:\n  a: {uses: http, with: {url: x}}\n  b: {argv: [b], for_each: [1, 2], dry_run: skip}\n",
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
        "dry runs",
        "name: a\nlanguage: 1\nsteps:\n  a: {argv: [a], dry_run: run}\n  b: {argv: [b], effect: read, dry_run: maybe}\n  c: {uses: wait, with: {for: 1s}, dry_run: skip}\n",
    ),
    (
        "verify on what may be repeated",
        "name: a\nlanguage: 1\nsteps:\n  a: {argv: [a], effect: read, verify: {argv: [b]}}\n  b: {argv: [a], verify: {argv: [b]}}\n",
    ),
    (
        "uses and what it excludes",
        "name: a\nlanguage: 1\nsteps:\n  a: {uses: weit, with: {for: 1m}}\n  b: {uses: wait}\n  c: {argv: [c], with: {for: 1m}}\n  d: {uses: wait, argv: [d], with: {for: 1m}, timeout: 1h, env: {A: b}, retry: {attempts: 2}, outputs: {x: string}}\n  e: {uses: fail, with: {mesage: b}, effect: read}\n  f: {uses: wait, with: {probe: {argv: [f], retry: {attempts: 2}}}, success: exit_code == 1, stdin: x, verify: {argv: [v]}}\n",
    ),
    (
        "waits",
        "name: a\nlanguage: 1\nsteps:\n  a: {uses: wait, with: {}}\n  b: {uses: wait, with: {for: 1m, until: '2026-12-01T08:00:00Z'}}\n  c: {uses: wait, with: {until: tomorrow}}\n  d: {uses: wait, with: {for: 1m, every: 5s, fail_if: exit_code == 3}}\n  e: {uses: wait, with: {probe: {argv: [e]}, every: 1s, for: 7d}}\n  f: {uses: wait, with: {probe: {argv: [f]}, every: 10ms}}\n  g: {uses: wait, with: {probe: {}}}\n",
    ),
    (
        "approvals",
        "name: a\nlanguage: 1\nsteps:\n  a: {uses: approval, with: {roles: [dba, dba], approvals: 0, on_timeout: accept}, timeout: 1h, outputs: {x: string}}\n  b: {uses: approval, with: {message: b, roles: [], timeout: 1h, on_timeout: approve, fields: {decision: {type: string}, code: {type: string, secret: true}, n: {type: integer, default: x}}}}\n  c: {uses: approval, with: {message: c, quorum: 2, roles: [Site Admin]}, effect: mutating, env: {A: b}}\n  d: {needs: [b], argv: [d, '${{ steps.b.outputs.n }}', '${{ steps.b.outputs.decision }}', '${{ steps.b.outputs.other }}']}\nfinally:\n  e: {uses: approval, with: {message: 'e ${{ secrets.x }}'}}\n",
    ),
    (
        "secret fields",
        "name: a\nlanguage: 1\noutputs: {k: {type: string, value: steps.ask.outputs.key}}\nsteps:\n  ask: {uses: approval, with: {message: x, fields: {key: {type: string, secret: true, required: true}, old: {type: string, secret: true, default: x}, once: {type: string, secret: true, ephemeral: true}}}}\n  good: {needs: [ask], argv: [a], stdin: \"${{ steps.ask.outputs.key }}\", env: {K: \"${{ steps.ask.outputs.key }}\"}}\n  seen: {needs: [ask], argv: [a, \"${{ steps.ask.outputs.key }}\"], if: \"steps.ask.outputs.key == 'x'\"}\n  inside: {needs: [ask], steps: {b: {argv: [b], env: {K: \"${{ steps.ask.outputs.key }}\"}}}}\n  each: {needs: [ask], for_each: [1, 2], argv: [c], env: {K: \"${{ steps.ask.outputs.key }}\"}}\n  again: {needs: [ask], repeat: {until: iteration.number > 1, max: 2}, argv: [c], stdin: \"${{ steps.ask.outputs.key }}\"}\n",
    ),
    (
        "tools of steps",
        "name: a\nlanguage: 1\nsteps:\n  a: {argv: [a], tools: [b, {name: c, version: '>=14'}], rollback: {argv: [r], tools: []}}\n  b: {argv: [a], tools: [bin/a, {version: '>=1'}, {name: x, version: 1}]}\n  c: {steps: {d: {argv: [d]}}, tools: [a]}\n  e: {uses: wait, with: {probe: {argv: [p], tools: [a]}}, tools: [b]}\n  f: {uses: fail, with: {message: x}, tools: [a]}\n  g: {uses: http, with: {url: 'http://x'}, tools: [a]}\n  h: {uses: terraform/plan, with: {dir: x}, tools: [{name: terraform, version: '>=1.4'}]}\n",
    ),
    ("a key of a later version", "name: a\nlanguage: 1\ndefaults: {working_dir: /srv}\nsteps: {a: {argv: [a]}}\n"),
    (
        "values that are kept nowhere",
        "name: a\nlanguage: 1\ninputs:\n  key: {type: string, ephemeral: true}\n  pin: {type: string, secret: true, ephemeral: true, default: x}\n  old: {type: string, ephemeral: yes please}\n  need: {type: string, secret: true, ephemeral: true, required: true}\nschedules:\n  none: {cron: '0 0 * * *'}\n  given: {cron: '0 0 * * *', inputs: {need: x}}\nsteps: {a: {argv: [a], stdin: '${{ inputs.need }}', env: {P: \"${{ default(inputs.pin, '') }}\", K: \"${{ default(inputs.key, default(inputs.old, '')) }}\"}}, b: {argv: [b, '${{ inputs.need }}']}}\n",
    ),
    ("one id in both parts", "name: a\nlanguage: 1\nsteps: {a: {argv: [a]}}\nfinally: {a: {argv: [a]}}\n"),
    (
        "ways back",
        "name: a\nlanguage: 1\nrollback: {policy: always, off: started, run: undo}\nsteps:\n  a: {argv: [a], rollback: {argv: [b, \"${{ attempt.outputs.y }}\"]}, no_return: true}\n  b: {argv: [a], rollback: automatic}\nfinally:\n  c: {argv: [a], rollback: {argv: [b]}}\n  d: {argv: [a], no_return: true}\n",
    ),
    ("a policy", "name: a\nlanguage: 1\nrollback: auto\nsteps: {a: {argv: [a]}}\n"),
    (
        "fields that nobody fills in",
        "name: a\nlanguage: 1\nsteps:\n  a: {uses: approval, with: {message: a, timeout: 1h, on_timeout: approve, fields: {ticket: {type: string, required: true}}}}\n  b: {uses: approval, with: {message: b, timeout: 1h, on_timeout: approve, fields: {ticket: {type: string, required: false}}}}\n  c: {uses: approval, with: {message: c, timeout: 1h, fields: {ticket: {type: string, required: true}}}}\n",
    ),
    (
        "pools and priorities",
        "name: a\nlanguage: 1\npriority: urgent\ndefaults: {pool: [a]}\nsteps:\n  a: {argv: [a], pool: Big Disk, priority: high}\n  b: {uses: approval, with: {message: b}, pool: disk}\n  c: {uses: wait, with: {for: 1m}, pool: disk}\n  d: {uses: wait, with: {probe: {argv: [d]}}, pool: disk}\n  e: {pool: disk, steps: {f: {argv: [f]}}}\n  g: {uses: runbook, with: {name: a}, pool: disk}\n  h: {argv: [h], for_each: [1, 2], pool: disk, pools: [disk]}\n",
    ),
    (
        "a backup that is a restore",
        "name: a\nlanguage: 1\nobjective: {target: db, rpo: 1h, rto: 1h}\nsteps: {a: {argv: [a]}}\n",
    ),
    (
        "a drill that is no restore",
        "name: a\nlanguage: 1\nobjective: {target: db, drill: true}\nsteps: {a: {argv: [a]}}\n",
    ),
    (
        "an objective that says nothing",
        "name: a\nlanguage: 1\nobjective: {target: db, drill: false}\nsteps: {a: {argv: [a]}}\n",
    ),
];
