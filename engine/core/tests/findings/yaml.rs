//! What is refused before any key is read.

pub const CASES: &[(&str, &str)] = &[
    ("an empty file", ""),
    ("only comments", "# nothing here\n"),
    ("not YAML: a colon in a text", "name: backup: nightly\nlanguage: 1\n"),
    ("not YAML: a tab", "name: a\nsteps:\n\ta: {}\n"),
    ("not YAML: an open bracket", "name: [a\nlanguage: 1\n"),
    ("not YAML: an unknown alias", "name: a\nsteps: *all\n"),
    ("not YAML: a sign in front of a text", "name: @a\n"),
    ("a directive", "%YAML 1.1\n---\nname: a\n"),
    ("two documents", "name: a\nlanguage: 1\nsteps: {a: {argv: [a]}}\n---\nname: b\n"),
    (
        "too deep",
        "a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
    ),
    (
        "an anchor bomb",
        "x-a: &a [x, x, x, x, x, x, x, x, x, x]\nx-b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\nx-c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nx-d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\nx-e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\nx-f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\nx-g: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f, *f]\n",
    ),
    ("an alias inside its anchor", "x-a: &a [1, *a]\n"),
    (
        "keys that are there already, in small and large maps",
        "name: a\nlanguage: 1\nname: b\nsteps:\n  a: {argv: [a]}\n  b: {argv: [b], argv: [c]}\n  a: {run: 'true'}\n  c: {argv: [a]}\n  d: {argv: [a]}\n  e: {argv: [a]}\n  f: {argv: [a]}\n  g: {argv: [a]}\n  h: {argv: [a]}\n  a: {run: 'false'}\n",
    ),
    ("a merge key", "name: a\nlanguage: 1\nx-base: &base {timeout: 1m}\nsteps:\n  a: {<<: *base, argv: [a]}\n"),
    ("tags", "name: !!str a\nlanguage: 1\nsteps:\n  a:\n    argv: [a]\n    if: !failure()\n"),
    ("a list as a key", "name: a\n[1, 2]: b\n"),
    (
        "readers that see different documents",
        "name: a\nlanguage: 1\ndescription: \"\\uD834\\uDD1E\"\nsteps: {a: {argv: [a]}}\n",
    ),
    ("a list at the top", "- name: a\n"),
    ("text at the top", "hello\n"),
    (
        "a mark of byte order and ends of lines of another system",
        "\u{feff}name: a\r\nlanguage: 1\r\nsteps: {a: {argv: [a], neds: []}}\r\n",
    ),
];
