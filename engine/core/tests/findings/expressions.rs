//! Expressions, where they stand.

pub const CASES: &[(&str, &str)] = &[
    (
        "syntax",
        "name: a\nlanguage: 1\ninputs: {n: {type: integer, default: 1}}\nsteps:\n  a: {argv: [a], if: inputs.n >}\n  b: {argv: [\"x ${{ inputs.n + }} y\", '${{ }}', '${{ inputs.n']}\n  c: {argv: [a], if: '${{ inputs.n > 1 }} && true'}\n  d: {argv: [a], if: ''}\n",
    ),
    (
        "names",
        "name: a\nlanguage: 1\ninputs: {database: {type: string, required: true}}\nenv: {HOOK: x}\nrequires: {secrets: [pg_password]}\nsteps:\n  a: {argv: [\"${{ inputs.databse }}\", \"${{ env.HOKO }}\", \"${{ env.PATH }}\", \"${{ input.x }}\", \"${{ run.id }}\"]}\n  b: {argv: [\"${{ steps.c.status }}\", \"${{ inputs.database.lenght() }}\"], env: {P: \"${{ secrets.pg_pasword }}\", Q: \"${{ secrets.other }}\"}}\n",
    ),
    (
        "outputs and artifacts",
        "name: a\nlanguage: 1\nsteps:\n  a: {argv: [a], outputs: {bytes: integer}, artifacts: [db.dump]}\n  b: {argv: [\"${{ steps.a.outputs.byts }}\", \"${{ steps.a.outputs.x }}\", \"${{ steps.a.artifacts['db.dmp'] }}\", \"${{ steps.a.artifacts['y'] }}\"], needs: [a]}\n",
    ),
    (
        "types",
        "name: a\nlanguage: 1\ninputs: {n: {type: integer, default: 1}, s: {type: string, default: x}, l: {type: list, default: []}}\nsteps:\n  a: {argv: [a], if: inputs.n}\n  b: {argv: [a], if: '${{ inputs.s == inputs.n }}'}\n  c: {argv: [\"${{ inputs.s + inputs.n }}\"], if: \"steps.a.status == 'done'\", needs: [a]}\n  d: {argv: [a], success: exit_code, if: true}\n  e: {argv: [\"${{ inputs.l }}\"]}\n",
    ),
    (
        "nulls",
        "name: a\nlanguage: 1\ninputs: {n: {type: integer}}\nsteps:\n  a: {argv: [a], outputs: {x: integer}, if: inputs.n > 1}\n  sure: {argv: [\"${{ steps.a.outputs.x }}\"], needs: [a]}\n  lifted: {argv: [\"${{ steps.a.outputs.x }}\"], needs: [a], if: steps.a.status == 'failed'}\n  after: {argv: [\"a ${{ steps.a.outputs.x }}\"], needs: [lifted]}\n  both: {argv: [\"${{ steps.a.outputs.x }}\"], needs: [lifted, sure]}\n  always: {argv: [\"${{ steps.a.outputs.x + 1 }}\"], needs: [sure], if: always()}\n  safe: {argv: [\"${{ default(steps.a.outputs.x, 0) }}\"], needs: [a], if: failure()}\n  code: {argv: [\"${{ steps.a.exit_code }}\"], needs: [a]}\nfinally:\n  tell: {argv: [\"${{ steps.a.outputs.x }}\", \"${{ run.reason }}\"]}\n",
    ),
    (
        "things without a value here",
        "name: a\nlanguage: 1\nenv: {A: x, B: \"${{ env.A }}\", C: \"${{ steps.a.status }}\"}\nlocks: [\"${{ steps.a.status }}\"]\nsteps:\n  a: {argv: [\"${{ exit_code }}\", \"${{ attempt.outputs.x }}\", \"${{ always() }}\", \"${{ run.outcome }}\"]}\n  b: {argv: [a], success: \"inputs.x == 1\", retry: {attempts: 2, if: failure()}}\n  c:\n    argv: [a]\n    outputs: {x: string}\n    verify: {argv: [\"${{ attempt.outputs.y }}\", \"${{ attempt.outputs.x }}\", \"${{ steps.c.outputs.x }}\"]}\nfinally:\n  tell: {argv: [\"${{ run.outcome }}\"]}\n",
    ),
    (
        "secrets",
        "name: a\nlanguage: 1\nrequires: {secrets: [token]}\ninputs: {key: {type: string, required: true, secret: true}}\nenv: {AUTH: \"Bearer ${{ secrets.token }}\"}\nconcurrency: {group: \"a/${{ inputs.key }}\"}\nlocks: [\"b/${{ secrets.token }}\"]\nsteps:\n  a: {argv: [curl, \"-H ${{ env.AUTH }}\", \"${{ secrets.token }}\"], if: \"secrets.token != ''\"}\n  b: {argv: [b], env: {T: \"${{ secrets.token }}\"}, stdin: \"${{ inputs.key }}\", files: {k: \"${{ env.AUTH }}\"}}\n  c: {argv: [c], working_dir: \"/tmp/${{ inputs.key }}\", effect: destructive, target: \"${{ inputs.key }}\"}\n",
    ),
    (
        "limits",
        "name: a\nlanguage: 1\nsteps:\n  a: {argv: [a], if: \"1 == ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))\"}\n",
    ),
    (
        "patterns",
        "name: a\nlanguage: 1\ninputs: {s: {type: string, default: x}}\nsteps:\n  a: {argv: [a], if: \"inputs.s.matches('[a-')\"}\n",
    ),
    (
        "places in texts of every style",
        "name: a\nlanguage: 1\nsteps:\n  a:\n    argv:\n      - plain ${{ inputs.a }}\n      - 'quoted ${{ inputs.b }}'\n      - \"escaped \\t ${{ inputs.c }}\"\n      - |\n        a block\n          ${{ inputs.d }}\n      - >-\n        folded\n        ${{ inputs.e }}\n      - ünïcödé ${{ inputs.f }}\n    if: >-\n      ${{ inputs.g }}\n",
    ),
    (
        "what a wait may mention",
        "name: a\nlanguage: 1\nsteps:\n  a: {uses: wait, with: {probe: {argv: [a]}, until: attempt.outputs.x > 1, fail_if: exit_code}, outputs: {x: integer}}\n  b: {uses: wait, with: {probe: {argv: [b]}, until: attempt.outputs.y == 'a', fail_if: always()}}\n  c: {uses: wait, with: {until: '${{ exit_code }}'}}\n  d: {needs: [a], uses: fail, with: {message: 'it is ${{ steps.a.outputs.x }} and ${{ steps.b.outputs.x }}'}}\n  e: {needs: [a], argv: [e, '${{ attempt.outputs.x }}']}\n  f: {uses: wait, with: {probe: {argv: [f]}, until: \"exit_code == 0 && default(attempt.outputs.x, '') == 'yes'\"}, outputs: {x: string}}\n",
    ),
    (
        "targets that nobody can confirm at the start",
        "name: a\nlanguage: 1\nenv: {WHERE: \"x/${{ run.number }}\", HERE: y}\nsteps:\n  a: {effect: read, argv: [a], outputs: {x: string}}\n  b: {needs: [a], effect: destructive, target: \"${{ steps.a.outputs.x }}\", argv: [b]}\n  c: {effect: destructive, target: \"${{ env.HERE }}/${{ env.WHERE }}/${{ run.uid }}/${{ run.reason }}\", argv: [c]}\n  go: {needs: [a], uses: approval, with: {message: go}}\n  d: {needs: [go], effect: destructive, target: \"${{ steps.a.outputs.x }}\", argv: [d]}\n  e: {needs: [a, go], if: always(), effect: destructive, target: \"${{ default(steps.a.outputs.x, '') }}\", argv: [e]}\nfinally:\n  f: {effect: destructive, target: \"${{ default(steps.a.outputs.x, '') }}\", argv: [f]}\n  g: {undoes: [d], effect: destructive, target: \"${{ run.uid }}\", argv: [g]}\n",
    ),
    (
        "an input that nothing mentions",
        "name: a\nlanguage: 1\ninputs:\n  used: {type: string, default: a}\n  forgotten: {type: string, default: b}\nsteps:\n  a: {argv: [a, \"${{ inputs.used }}\"]}\n",
    ),
];
