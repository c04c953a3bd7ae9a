//! Actions, and what they are told.

pub const CASES: &[(&str, &str)] = &[
    (
        "another answer in verify",
        "name: a\nlanguage: 1\nsteps:\n  a:\n    uses: http\n    with: {method: POST, url: 'http://x', answer: json}\n    verify: {uses: http, with: {url: 'http://x', happened: attempt.outputs.status == 200}}\n  b:\n    uses: http\n    with: {method: POST, url: 'http://x', answer: json}\n    verify: {uses: http, with: {url: 'http://x', answer: json, happened: attempt.outputs.status == 200}}\n  c:\n    uses: http\n    with: {method: POST, url: 'http://x', answer: none}\n    verify: {uses: http, with: {url: 'http://x', happened: attempt.outputs.status == 200}}\n",
    ),
    (
        "effects weaker than the action",
        "name: a\nlanguage: 1\nsteps:\n  plan: {uses: terraform/plan, with: {dir: x}}\n  apply: {needs: [plan], uses: terraform/apply, effect: read, with: {dir: x, plan: \"${{ steps.plan.artifacts['plan'] }}\"}}\n  destroy: {uses: terraform/destroy, effect: mutating, with: {dir: x, confirm_workspace: default}}\n  init: {uses: terraform/init, effect: read, with: {dir: x}}\n  put: {uses: http, effect: read, with: {method: PUT, url: 'http://x'}}\n  search: {uses: http, effect: read, with: {method: POST, url: 'http://x'}}\n  stronger: {uses: http, effect: mutating, with: {url: 'http://x'}}\n",
    ),
    (
        "actions and keys that do not exist",
        "name: a\nlanguage: 1\nsteps:\n  a: {uses: htpp, with: {url: x}}\n  b: {uses: http, with: {ulr: x}}\n  c: {uses: http, with: {url: x, retries: 3, data: y}}\n  d: {uses: http}\n  e: {uses: http, with: [x]}\n  f: {with: {url: x}, argv: [f]}\n",
    ),
    (
        "what keys take",
        "name: a\nlanguage: 1\nsteps:\n  a: {uses: http, with: {url: x, method: FETCH, status: [2xx, 20, 6xx, 999], redirects: 21, max_bytes: 0, answer: yaml, headers: [a], idempotency_key: 'yes'}}\n  b: {uses: http, with: {url: [x], status: [], json: {a: .inf}}}\n  c: {uses: http, with: {url: x, status: 200, query: {a: [b]}}}\n",
    ),
    (
        "keys that exclude each other",
        "name: a\nlanguage: 1\nsteps:\n  a: {uses: http, with: {method: POST, url: x, json: {}, body: y, redirects: 3}}\n  b: {uses: http, with: {url: x, body: y, user: me, client_key: k}}\n  c: {uses: http, with: {url: x, max_bytes: 1000000, happened: 'true'}}\n  d: {uses: http, with: {url: x}, run: d, env: {A: b}, outputs: {x: string}, artifacts: [x], stop: {grace: 1s}}\n",
    ),
    (
        "what other steps can read",
        "name: a\nlanguage: 1\nsteps:\n  a: {uses: http, with: {url: x, answer: json}}\n  b: {needs: [a], argv: [b, \"${{ steps.a.outputs.status + 1 }}\", \"${{ steps.a.outputs.json.x }}\", \"${{ steps.a.outputs.body }}\", \"${{ steps.a.artifacts['body'] }}\", \"${{ steps.a.outputs.statsu }}\"]}\n  c: {needs: [a], if: steps.a.outputs.headers == 3, argv: [c]}\n",
    ),
    (
        "conditions about an answer",
        "name: a\nlanguage: 1\nrequires: {secrets: [s]}\nsteps:\n  a: {uses: http, with: {url: x, expect: attempt.outputs.json.ok}}\n  b: {uses: http, with: {url: x, expect: attempt.outputs.status}}\n  c: {uses: http, with: {url: x, expect: attempt.outputs.body == secrets.s && attempt.outputs.sttus == 3}}\n  d: {uses: http, with: {url: x, expect: exit_code == 0}}\n",
    ),
    (
        "an action where a command may stand",
        "name: a\nlanguage: 1\nsteps:\n  a:\n    uses: http\n    with: {method: POST, url: x}\n    verify: {uses: http, with: {url: x}}\n    rollback: {uses: http, with: {method: DELETE, url: x, happened: 'true'}}\n  b: {argv: [b], verify: {uses: wait, with: {for: 1s}}, on_cancel: {uses: http, with: {url: x}, argv: [y]}, rollback: {with: {}}}\n  c: {uses: wait, with: {probe: {uses: http, with: {url: x}, env: {A: b}}, until: attempt.outputs.status == 200}}\n  d: {uses: http, effect: read, with: {url: x}, verify: {argv: [v]}}\n",
    ),
    (
        "secrets and nulls",
        "name: a\nlanguage: 1\nrequires: {secrets: [s]}\ninputs: {n: {type: integer}}\nsteps:\n  a: {uses: http, with: {method: POST, url: \"x${{ secrets.s }}\", headers: {A: \"${{ secrets.s }}\"}, json: {n: \"${{ inputs.n }}\", t: \"n ${{ inputs.n }}\"}, ca: \"${{ secrets.s }}\"}}\n",
    ),
    (
        "messages to people",
        "name: a\nlanguage: 1\nsteps:\n  a: {uses: notify/email, with: {server: x, from: a@b.org, to: [], subject: s, text: t, user: u}}\n  b: {uses: notify/email, with: {server: x, from: a@b.org, to: [c@d.org], subject: s, body: t, tls: none, user: u, password: p, ca: c}}\n  c: {uses: notify/email, dry_run: skip, with: {server: x, port: 0, tls: ssl, from: a@b.org, to: c@d.org, subject: s, text: t}}\n",
    ),
    (
        "secrets that would be arguments",
        "name: a\nlanguage: 1\nrequires: {secrets: [s]}\nsteps:\n  a: {uses: terraform/init, with: {dir: x, backend: {path: y, token: \"${{ secrets.s }}\"}}}\n  b: {uses: git/checkout, with: {path: y, url: \"https://${{ secrets.s }}@x\"}}\n",
    ),
];
