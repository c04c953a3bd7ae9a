//! Needs.

pub const CASES: &[(&str, &str)] = &[
    (
        "unknown steps",
        "name: a\nlanguage: 1\nsteps:\n  dump: {argv: [a]}\n  prove: {argv: [a], needs: [dmup, publish]}\nfinally:\n  tidy: {argv: [a]}\n  tell: {argv: [a], needs: [tidi]}\n",
    ),
    (
        "itself, twice, not text",
        "name: a\nlanguage: 1\nsteps:\n  a: {argv: [a], needs: [a]}\n  b: {argv: [a], needs: [a, c, a]}\n  c: {argv: [a], needs: [a, 1]}\n",
    ),
    (
        "from part to part",
        "name: a\nlanguage: 1\nsteps:\n  a: {argv: [a], needs: [tidy]}\nfinally:\n  tidy: {argv: [a], needs: [a]}\n",
    ),
    (
        "two circles",
        "name: a\nlanguage: 1\nsteps:\n  start: {argv: [a]}\n  a: {argv: [a], needs: [start, b]}\n  b: {argv: [a], needs: [a]}\n  c: {argv: [a], needs: [b]}\n  d: {argv: [a], needs: [f, c]}\n  e: {argv: [a], needs: [d]}\n  f: {argv: [a], needs: [e]}\nfinally: {x: {argv: [a]}}\n",
    ),
    (
        "a long circle",
        "name: a\nlanguage: 1\nsteps:\n  a: {argv: [a], needs: [b]}\n  b: {argv: [a], needs: [c]}\n  c: {argv: [a], needs: [d]}\n  d: {argv: [a], needs: [e]}\n  e: {argv: [a], needs: [f]}\n  f: {argv: [a], needs: [g]}\n  g: {argv: [a], needs: [h]}\n  h: {argv: [a], needs: [i]}\n  i: {argv: [a], needs: [j]}\n  j: {argv: [a], needs: [a]}\n",
    ),
    (
        "not upstream",
        "name: a\nlanguage: 1\nsteps:\n  a: {argv: [a], outputs: {x: string}, artifacts: [f]}\n  b: {argv: [a], needs: [a]}\n  c: {argv: [\"${{ steps.a.outputs.x }}\"], needs: [b]}\n  d: {argv: [\"${{ steps.a.outputs.x }}\"]}\n  e: {argv: [\"${{ steps.c.status }}\"], needs: [b]}\n  f: {argv: [\"${{ steps.a.artifacts['f'] }} ${{ steps.f.status }}\"]}\n  g: {argv: [a], if: steps.tell.status == 'failed'}\nfinally:\n  tell: {argv: [\"${{ steps.a.status }}\", \"${{ steps.more.status }}\"]}\n  more: {argv: [a]}\n",
    ),
    (
        "with an unknown need, nothing is said about what is upstream",
        "name: a\nlanguage: 1\nsteps:\n  dump: {argv: [a], outputs: {x: string}}\n  b: {argv: [\"${{ steps.dump.outputs.x }}\"], needs: [dumb]}\n",
    ),
    (
        "what goes on over a skipped step may lack its outputs",
        "name: a\nlanguage: 1\ninputs: {go: {type: boolean, default: true}}\nsteps:\n  a: {argv: [a], outputs: {x: string}}\n  b: {argv: [a], needs: [a], if: inputs.go, when_skipped: go_on, outputs: {x: string}}\n  c: {argv: [\"${{ steps.a.outputs.x }}\", \"${{ steps.b.outputs.x }}\", \"${{ default(steps.b.outputs.x, '') }}\"], needs: [b]}\n  d: {argv: [a], needs: [b, c], when_skipped: go_on}\n  e: {argv: [a], needs: [b], when_skipped: later}\n  f: {argv: [a], when_skipped: go_on}\n",
    ),
    (
        "steps that never run",
        "name: a\nlanguage: 1\ninputs: {mode: {type: string, enum: [full, data], default: full}, deep: {type: boolean, default: false}}\nsteps:\n  a: {argv: [a]}\n  b: {argv: [a], needs: [a]}\n  off: {argv: [a], if: false}\n  too-late: {argv: [a], needs: [b], if: steps.a.status == 'failed'}\n  in-time: {argv: [a], needs: [a, b], if: \"always() && steps.a.status == 'failed'\"}\n  first: {argv: [a], if: failure()}\n  both: {argv: [a], needs: [a], if: \"steps.a.status == 'failed' && steps.a.status == 'succeeded'\"}\n  either: {argv: [a], needs: [a, b], if: \"steps.a.status == 'succeeded' || steps.b.status == 'failed'\"}\n  gone: {argv: [a], needs: [a], if: \"steps.a.status in ['canceled']\"}\n  mode: {argv: [a], if: \"inputs.mode == 'fast'\"}\n  deep: {argv: [a], if: \"inputs.deep ? inputs.mode == 'full' : !inputs.deep && inputs.mode != 'full'\"}\nfinally:\n  tell: {argv: [a], if: steps.a.status == 'canceled' && failure()}\n  never: {argv: [a], if: run.outcome == 'rolled_back'}\n",
    ),
    (
        "what is undone",
        "name: a\nlanguage: 1\nsteps:\n  lock: {argv: [a]}\n  work: {argv: [a], needs: [lock], undoes: [lock]}\nfinally:\n  unlock: {argv: [a], undoes: [lock, lokc, tell, lock]}\n  tell: {argv: [a], undoes: lock}\n",
    ),
];
