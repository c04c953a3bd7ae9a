//! A runbook's graph as a drawing: text for a terminal, Mermaid for pages, DOT for Graphviz. A pure function of the
//! checked definition, for `runbookd graph` and for the API alike. Never knows a run.

use std::fmt::Write as _;

use runbook_core::definition::{Block, Effect, Part, Runbook, Step, WhenSkipped};

/// Steps that the text names, of those that are needed or stand inside; of more it tells how many.
const NAMES_SHOWN: usize = 8;

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Rows of steps that may run together, for people.
    Text,
    /// A flowchart of Mermaid, as Markdown pages show it.
    Mermaid,
    /// A digraph for Graphviz.
    Dot,
}

/// Draws the graph of a runbook. Steps of `finally` stand apart; conditions and effects are marked.
pub fn draw(runbook: &Runbook, format: Format) -> String {
    match format {
        Format::Text => text(runbook),
        Format::Mermaid => mermaid(runbook),
        Format::Dot => dot(runbook),
    }
}

/// The steps of a part with their places in the definition.
fn part(runbook: &Runbook, part: Part) -> impl Iterator<Item = (usize, &Step)> {
    runbook.steps.iter().enumerate().filter(move |(_, step)| step.part == part)
}

/// The row of each step: one below the lowest of its needs. Steps of one row never wait for each other.
fn rows(runbook: &Runbook) -> Vec<usize> {
    let mut rows = vec![0; runbook.steps.len()];
    // A step may need one that is written below it, so that one pass in the order of the file is not enough.
    let mut open: Vec<usize> = runbook.steps.iter().map(|step| step.needs.len()).collect();
    let mut dependants = vec![Vec::new(); runbook.steps.len()];
    for (place, step) in runbook.steps.iter().enumerate() {
        for need in &step.needs {
            dependants[need.index()].push(place);
        }
    }
    let mut free: Vec<usize> = (0..open.len()).filter(|place| open[*place] == 0).collect();
    while let Some(place) = free.pop() {
        for next in &dependants[place] {
            rows[*next] = rows[*next].max(rows[place] + 1);
            open[*next] -= 1;
            if open[*next] == 0 {
                free.push(*next);
            }
        }
    }
    rows
}

fn text(runbook: &Runbook) -> String {
    let finally = part(runbook, Part::Finally).count();
    let mut out = format!("{}: {} in steps", runbook.name, runbook.steps.len() - finally);
    if finally > 0 {
        let _ = write!(out, ", {finally} in finally");
    }
    out.push('\n');
    let rows = rows(runbook);
    let width = runbook.steps.iter().map(|step| step.id.len()).max().unwrap_or(0);
    let digits = rows.iter().max().map_or(1, |row| (row + 1).to_string().len());
    for (which, title) in [(Part::Main, "steps"), (Part::Finally, "finally")] {
        let mut steps: Vec<(usize, &Step)> = part(runbook, which).collect();
        if steps.is_empty() {
            continue;
        }
        steps.sort_by_key(|(place, _)| rows[*place]);
        let _ = writeln!(out, "\n{title}");
        for (at, (place, step)) in steps.iter().enumerate() {
            let row = rows[*place];
            let first = at == 0 || rows[steps[at - 1].0] != row;
            let last = steps.get(at + 1).is_none_or(|(next, _)| rows[*next] != row);
            let branch = match (first, last) {
                (true, true) => '─',
                (true, false) => '┬',
                (false, false) => '├',
                (false, true) => '└',
            };
            let number = if first { (row + 1).to_string() } else { String::new() };
            let line = format!(
                "{number:>digits$} {branch} {:<width$}  {:<11}  {}",
                step.id,
                step.effect.name(),
                notes(runbook, step).join("; ")
            );
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
    out
}

/// What is said of a step beside its name and its effect.
fn notes(runbook: &Runbook, step: &Step) -> Vec<String> {
    let mut notes = Vec::new();
    if !step.needs.is_empty() {
        notes.push(format!("after {}", first_of(step.needs.iter().filter_map(|need| runbook.step(*need)))));
    }
    if !step.undoes.is_empty() {
        let ids = step.undoes.iter().filter_map(|no| runbook.step(*no)).map(|step| step.id.as_str());
        notes.push(format!("undoes {}", ids.take(NAMES_SHOWN).collect::<Vec<_>>().join(", ")));
    }
    notes.extend(inside(step));
    notes.extend(step.condition.as_ref().map(|condition| format!("if {}", one_line(&condition.expression))));
    notes.extend(step.target.as_ref().map(|target| format!("destroys {}", one_line(target))));
    for (has, what) in [
        (step.verify.is_some(), "has verify"),
        (step.on_cancel.is_some(), "has on_cancel"),
        (step.allow_failure, "may fail"),
        (step.when_skipped == WhenSkipped::GoOn, "others go on over it"),
    ] {
        if has {
            notes.push(what.to_owned());
        }
    }
    notes
}

/// What a step runs that is more than a command.
fn inside(step: &Step) -> Option<String> {
    let runs = |block: &Block| format!("runs {}", first_of(block.steps.iter()));
    let work = step.call().map(|call| format!("starts {}", call.runbook)).or_else(|| step.block().map(runs));
    let many = step.many.as_ref().map(|many| one_line(&many.to_string()));
    let told: Vec<String> = work.into_iter().chain(many).collect();
    (!told.is_empty()).then(|| told.join(" "))
}

/// The first of some steps by name, and how many more there are.
fn first_of<'s>(mut steps: impl Iterator<Item = &'s Step>) -> String {
    let ids: Vec<&str> = steps.by_ref().take(NAMES_SHOWN).map(|step| step.id.as_str()).collect();
    match steps.count() {
        0 => ids.join(", "),
        more => format!("{} and {more} more", ids.join(", ")),
    }
}

/// A text of the author without line breaks.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What stands in a node: its name, what it destroys, and when it runs.
fn label(step: &Step) -> Vec<String> {
    let mut lines = vec![step.id.clone()];
    lines.extend(inside(step));
    lines.extend(step.target.as_ref().map(|target| format!("destroys {}", one_line(target))));
    lines.extend(step.condition.as_ref().map(|condition| format!("if {}", one_line(&condition.expression))));
    lines
}

fn mermaid(runbook: &Runbook) -> String {
    // Nodes are named by place: an id of the language may be a word of Mermaid, such as `end`.
    let mut out = "flowchart TD\n".to_owned();
    let node = |out: &mut String, indent: &str, place: usize, step: &Step| {
        let label: Vec<String> = label(step).iter().map(|line| entities(line)).collect();
        let (open, close) = if step.condition.is_some() { ("{{", "}}") } else { ("[", "]") };
        let _ = writeln!(out, "{indent}s{place}{open}\"{}\"{close}:::{}", label.join("<br>"), step.effect.name());
    };
    for (place, step) in part(runbook, Part::Main) {
        node(&mut out, "  ", place, step);
    }
    if part(runbook, Part::Finally).next().is_some() {
        out.push_str("  subgraph finally\n");
        for (place, step) in part(runbook, Part::Finally) {
            node(&mut out, "    ", place, step);
        }
        out.push_str("  end\n");
    }
    for (place, step) in runbook.steps.iter().enumerate() {
        for need in &step.needs {
            let _ = writeln!(out, "  s{} --> s{place}", need.index());
        }
    }
    for effect in EFFECTS {
        let _ = writeln!(out, "  classDef {} stroke:{}", effect.name(), color(effect));
    }
    out
}

/// A text that Mermaid takes for nothing but text.
fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("#quot;"),
            '#' => out.push_str("#35;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '&' => out.push_str("#amp;"),
            '`' => out.push_str("#96;"),
            c => out.push(c),
        }
    }
    out
}

fn dot(runbook: &Runbook) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = format!("digraph {} {{\n  node [shape=box]\n", quoted(&runbook.name));
    let node = |out: &mut String, indent: &str, step: &Step| {
        let label = label(step).iter().map(|line| line.replace('\\', "\\\\").replace('"', "\\\"")).collect::<Vec<_>>();
        let shape = if step.condition.is_some() { " shape=hexagon" } else { "" };
        let style = if step.allow_failure { " style=dashed" } else { "" };
        let _ = writeln!(
            out,
            "{indent}{} [label=\"{}\" color={}{shape}{style}]",
            quoted(&step.id),
            label.join("\\n"),
            quoted(color(step.effect))
        );
    };
    for (_, step) in part(runbook, Part::Main) {
        node(&mut out, "  ", step);
    }
    if part(runbook, Part::Finally).next().is_some() {
        out.push_str("  subgraph cluster_finally {\n    label=\"finally\"\n");
        for (_, step) in part(runbook, Part::Finally) {
            node(&mut out, "    ", step);
        }
        out.push_str("  }\n");
    }
    for step in &runbook.steps {
        for need in step.needs.iter().filter_map(|need| runbook.step(*need)) {
            let _ = writeln!(out, "  {} -> {}", quoted(&need.id), quoted(&step.id));
        }
    }
    out.push_str("}\n");
    out
}

/// Every effect, the harmless first.
const EFFECTS: [Effect; 4] = [Effect::Read, Effect::Idempotent, Effect::Mutating, Effect::Destructive];

/// The colour of a step's frame: the more it can do, the warmer.
const fn color(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "#6b7280",
        Effect::Idempotent => "#15803d",
        Effect::Mutating => "#b45309",
        Effect::Destructive => "#b91c1c",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNBOOK: &str = r##"
name: swap
language: 1
inputs: {db: {type: string, required: true}}
steps:
  drop: {needs: [copy, look], argv: [drop], effect: destructive, target: "pg/${{ inputs.db }}", verify: {argv: [gone]}}
  look: {argv: [look], effect: read, allow_failure: true}
  copy: {argv: [copy], effect: idempotent}
  end: {needs: [drop], if: 'inputs.db != "a<b#"', when_skipped: go_on, argv: [tell]}
finally:
  tidy: {argv: [tidy]}
  last: {needs: [tidy], argv: [last]}
"##;

    fn drawn(format: Format) -> String {
        let checked = runbook_core::language::check(RUNBOOK.as_bytes(), "swap.yaml");
        draw(&checked.runbook.unwrap_or_else(|| panic!("{:?}", checked.findings)), format)
    }

    #[test]
    fn text_shows_what_may_run_together() {
        assert_eq!(
            drawn(Format::Text),
            "swap: 4 in steps, 2 in finally\n\n\
             steps\n\
             1 ┬ look  read         may fail\n\
             \x20 └ copy  idempotent\n\
             2 ─ drop  destructive  after copy, look; destroys pg/${{ inputs.db }}; has verify\n\
             3 ─ end   mutating     after drop; if inputs.db != \"a<b#\"; others go on over it\n\n\
             finally\n\
             1 ─ tidy  mutating\n\
             2 ─ last  mutating     after tidy\n"
        );
    }

    #[test]
    fn mermaid_takes_nothing_for_its_own() {
        let text = drawn(Format::Mermaid);
        assert!(text.contains("  s3{{\"end<br>if inputs.db != #quot;a#lt;b#35;#quot;\"}}:::mutating\n"), "{text}");
        assert!(text.contains("  s0[\"drop<br>destroys pg/${{ inputs.db }}\"]:::destructive\n"), "{text}");
        assert!(text.contains("  subgraph finally\n    s4[\"tidy\"]:::mutating\n"), "{text}");
        assert!(text.contains("  s2 --> s0\n  s1 --> s0\n  s0 --> s3\n  s4 --> s5\n"), "{text}");
    }

    #[test]
    fn dot_is_quoted() {
        let text = drawn(Format::Dot);
        assert!(text.starts_with("digraph \"swap\" {\n"), "{text}");
        assert!(
            text.contains("[label=\"end\\nif inputs.db != \\\"a<b#\\\"\" color=\"#b45309\" shape=hexagon]"),
            "{text}"
        );
        assert!(text.contains("  \"look\" [label=\"look\" color=\"#6b7280\" style=dashed]\n"), "{text}");
        assert!(text.ends_with("  \"drop\" -> \"end\"\n  \"tidy\" -> \"last\"\n}\n"), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }

    #[test]
    fn many_needs_are_counted() {
        let steps: String = (0..12).map(|n| format!("  s{n}: {{argv: [x]}}\n")).collect();
        let needs: Vec<String> = (0..12).map(|n| format!("s{n}")).collect();
        let source =
            format!("name: wide\nlanguage: 1\nsteps:\n{steps}  all: {{needs: [{}], argv: [x]}}\n", needs.join(", "));
        let checked = runbook_core::language::check(source.as_bytes(), "wide.yaml");
        let text = draw(&checked.runbook.unwrap_or_else(|| panic!("{:?}", checked.findings)), Format::Text);
        assert!(text.ends_with("after s0, s1, s2, s3, s4, s5, s6, s7 and 4 more\n"), "{text}");
    }
}
