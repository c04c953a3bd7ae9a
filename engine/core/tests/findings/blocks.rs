//! Cases of steps inside steps: (what, text).

/// The cases.
pub const CASES: &[(&str, &str)] = &[
    (
        "a block sees what is around it and before it",
        "\
name: a
language: 1
inputs: {host: {type: string, required: true}, token: {type: string, secret: true}}
requires: {secrets: [key]}
env: {BASE: \"/srv/${{ inputs.host }}\"}
steps:
  look: {effect: read, argv: [look], outputs: {free: integer}}
  move:
    needs: [look]
    if: steps.look.outputs.free > 0
    timeout: 1h
    steps:
      copy:
        argv: [copy, \"${{ env.BASE }}\", \"${{ steps.look.outputs.free }}\"]
        env: {TOKEN: \"${{ default(inputs.token, '') }}\", KEY: \"${{ secrets.key }}\"}
        outputs: {bytes: integer}
      deeper:
        needs: [copy]
        steps:
          deepest: {argv: [d, \"${{ steps.copy.outputs.bytes }}\", \"${{ steps.look.outputs.free }}\", \"${{ inputs.host }}\"]}
    finally:
      tell: {argv: [tell, \"${{ run.outcome }}\", \"${{ default(steps.copy.outputs.bytes, 0) }}\"]}
    outputs: {bytes: {type: integer, value: steps.copy.outputs.bytes}}
  after: {needs: [move], argv: [after, \"${{ steps.move.outputs.bytes }}\"]}
",
    ),
    (
        "what a block does not see, and what is not seen of it",
        "\
name: a
language: 1
inputs: {token: {type: string, required: true, secret: true}}
steps:
  beside: {argv: [b], outputs: {n: integer}}
  maybe: {argv: [m], outputs: {n: integer}, allow_failure: true}
  block:
    needs: [maybe]
    if: always()
    steps:
      one: {argv: [one, \"${{ steps.beside.outputs.n }}\", \"${{ steps.bloc.status }}\", \"${{ steps.block.status }}\"]}
      two: {argv: [two, \"${{ steps.maybe.outputs.n }}\", \"${{ inputs.token }}\", \"${{ inputs.tokn }}\"]}
      three: {needs: [maybe], argv: [three, \"${{ run.outcome }}\"]}
    outputs: {n: {type: string, value: steps.one.exit_code}}
  after: {needs: [block], argv: [a, \"${{ steps.one.status }}\", \"${{ steps.block.outputs.m }}\"]}
",
    ),
    (
        "what stands beside `steps`",
        "\
name: a
language: 1
steps:
  a: {run: a, steps: {b: {argv: [b]}}, retry: {attempts: 2}, effect: read, env: {A: b}, on_cancel: {run: c}}
  b: {finally: {c: {argv: [c]}}}
  c: {steps: {}}
  d: {uses: wait, with: {for: 1m}, steps: {e: {argv: [e]}}, target: x, outputs: {n: integer}}
",
    ),
    (
        "what destroys inside a block",
        "\
name: a
language: 1
steps:
  a: {steps: {drop: {argv: [drop], effect: destructive, target: db}}}
  ask: {uses: approval, with: {message: go}}
  b: {needs: [ask], steps: {drop: {argv: [drop], effect: destructive, target: \"db/${{ run.uid }}\"}}}
  c:
    steps:
      ask: {uses: approval, with: {message: go}}
      drop: {needs: [ask], argv: [drop], effect: destructive, target: db}
finally:
  d: {steps: {e: {steps: {ask: {uses: approval, with: {message: go}}}}}}
",
    ),
    (
        "blocks in blocks in blocks",
        "\
name: a
language: 1
steps:
  a: {steps: {a: {steps: {a: {steps: {a: {steps: {a: {steps: {a: {steps: {a: {steps: {a: {steps: {a: {steps: {a: {argv: [a]}}}}}}}}}}}}}}}}}}}
",
    ),
    (
        "circles and names inside",
        "\
name: a
language: 1
steps:
  a:
    steps:
      a: {needs: [b], argv: [a]}
      b: {needs: [a], argv: [b], if: steps.a.status == 'failed'}
      c: {needs: [d, c], argv: [c]}
    finally:
      a: {argv: [a]}
",
    ),
    (
        "work for each item of a list",
        "\
name: a
language: 1
inputs: {hosts: {type: list, required: true}, token: {type: string, secret: true}}
steps:
  look: {effect: read, argv: [look], outputs: {regions: list, n: integer}}
  copy:
    needs: [look]
    for_each: ${{ steps.look.outputs.regions }}
    max_parallel: 3
    max_failures: 1
    argv: [copy, \"${{ item }}\", \"${{ each.key }}\", \"${{ each.number }}\", \"${{ steps.look.outputs.n }}\"]
    env: {TOKEN: \"${{ default(inputs.token, '') }}\"}
    outputs: {bytes: integer}
    verify: {argv: [ask, \"${{ item }}\"]}
  upgrade:
    for_each: ${{ inputs.hosts.filter(item, item != '') }}
    max_parallel: 1
    steps:
      drain: {argv: [drain, \"${{ item }}\"]}
      each: {needs: [drain], for_each: \"${{ item.disks }}\", argv: [mount, \"${{ item }}\"]}
    outputs: {ok: {type: boolean, value: \"each.number > 0\"}}
  after:
    needs: [copy, upgrade]
    if: steps.copy.outputs.bytes.size() > 2
    argv: [after, \"${{ json(steps.copy.outputs.bytes) }}\", \"${{ json(steps.upgrade.outputs.ok) }}\"]
",
    ),
    (
        "lists that are none, and what does not go with one",
        "\
name: a
language: 1
inputs: {hosts: {type: list}, n: {type: integer, default: 1}}
steps:
  a: {for_each: \"${{ inputs.n }}\", argv: [a]}
  b: {for_each: \"${{ inputs.hosts }}\", argv: [b]}
  c: {for_each: {a: b}, argv: [c]}
  d: {for_each: 7, argv: [d]}
  e: {for_each: [\"${{ inputs.n }}\"], argv: [e]}
  f: {for_each: [a], uses: wait, with: {for: 1m}}
  g: {for_each: [a], if: item == 'a', argv: [g], rollback: {argv: [u]}, artifacts: [x], locks: [l]}
  h: {argv: [h, \"${{ item }}\", \"${{ each.index }}\"], max_parallel: 2, max_failures: 1}
  i: {for_each: [a], argv: [i], outputs: {n: integer}, max_parallel: 0}
  j: {needs: [i, g], argv: [j, \"${{ steps.i.outputs.n + 1 }}\", \"${{ steps.g.artifacts['x'] }}\"]}
  k: {for_each: [a], argv: [k], effect: destructive, target: \"x/${{ item }}\"}
",
    ),
    (
        "work again and again",
        "\
name: a
language: 1
inputs: {most: {type: integer, default: 3}}
steps:
  look: {effect: read, argv: [look], outputs: {n: integer}}
  poll:
    needs: [look]
    repeat: {until: \"iteration.outputs.left <= steps.look.outputs.n\", max: 20, every: 30s}
    argv: [poll, \"${{ iteration.number }}\", \"${{ steps.look.outputs.n }}\"]
    outputs: {left: integer}
  try:
    repeat: {until: \"default(iteration.exit_code, 1) in [0, 3] || iteration.number == inputs.most\", max: 5}
    argv: [try]
  ask:
    needs: [poll]
    repeat: {until: \"iteration.status == 'succeeded' && default(iteration.outputs.done, false)\", max: 4}
    steps:
      work: {argv: [work, \"${{ iteration.number }}\"], outputs: {done: boolean}}
      go: {needs: [work], uses: approval, with: {message: \"go on after ${{ iteration.number }}?\"}}
    outputs: {done: {type: boolean, value: steps.work.outputs.done}}
  after: {needs: [poll, ask], argv: [after, \"${{ steps.poll.outputs.left + 1 }}\"], if: steps.ask.outputs.done}
",
    ),
    (
        "repetitions that are of no use, and what does not go with one",
        "\
name: a
language: 1
inputs: {n: {type: integer, default: 1}}
steps:
  a: {repeat: {until: \"inputs.n > 1\", max: 3}, argv: [a]}
  b: {repeat: {until: \"iteration.number > 3\", max: 3}, argv: [b]}
  c: {repeat: {until: \"iteration.status == 'failed'\", max: 3}, argv: [c]}
  d: {repeat: {until: \"iteration.status == 'skipped'\", max: 3}, argv: [d]}
  e: {repeat: {until: \"iteration.exit_code == 0\", max: 0, every: 10ms}, steps: {e: {argv: [e]}}}
  f: {repeat: {until: \"iteration.outputs.n\"}, argv: [f], outputs: {n: integer}}
  g: {repeat: {until: \"iteration.status != 'failed' && iteration.outputs.n > 0\", max: 3}, argv: [g], outputs: {n: integer}}
  h: {repeat: {until: \"iteration.outputs.m > 0\", max: 3}, argv: [h], outputs: {n: integer}}
  i: {repeat: {until: \"iteration.outcome == 'x'\", max: 2000}, argv: [i, \"${{ iteration.outputs.n }}\"]}
  j: {repeat: {until: \"iteration.number > 1\", max: 3}, for_each: [a], argv: [j]}
  k: {repeat: {until: \"iteration.number > 1\", max: 3}, uses: wait, with: {for: 1m}}
  l: {repeat: {until: \"iteration.number > 1\", max: 3}, if: iteration.number > 1, argv: [l], rollback: {argv: [u]}, artifacts: [x]}
  m: {argv: [m, \"${{ iteration.number }}\"], until: done}
  o: {repeat: {until: \"iteration.number > 1\", max: 3}, argv: [o], effect: destructive, target: x}
  p: {repeat: {until: \"steps.f.outputs.n > iteration.number\", max: 3, while: x, delay: 1s}, argv: [p]}
  q: {repeat: 3, argv: [q]}
",
    ),
];
