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
];
