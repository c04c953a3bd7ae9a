//! What is shown of a text around a finding: the lines that it is about, long ones cut to what is near it. However
//! long a line is and however many findings it has, the answer stays small. Never knows what the text means.

use std::ops::Range;

use runbook_core::language::Finding;

/// The longest line that is shown whole, in bytes.
const WHOLE: usize = 240;
/// How much of a longer one is shown on each side of an end of a finding, in bytes.
const AROUND: usize = 80;
/// Lines between the places of a finding that are looked at; places farther away are left out.
const APART: usize = 10_000;
/// What stands for what was cut.
const CUT: &str = "…";

/// A part of a text, with the finding's places in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// Whole lines, or what is left of them.
    pub text: String,
    /// The number of its first line in the file, from 1.
    pub first_line: usize,
    /// What the finding is about.
    pub span: Range<usize>,
    /// Other places that belong to it.
    pub related: Vec<(Range<usize>, String)>,
    /// Whether a column in it is not the column in the file.
    pub cut: bool,
}

/// The part of a text that a finding is about.
pub fn excerpt(source: &str, finding: &Finding) -> Excerpt {
    let main = clamp(source, &finding.span);
    let mut places: Vec<(Range<usize>, String)> = Vec::new();
    for (span, label) in &finding.related {
        let span = clamp(source, span);
        let between = &source[main.start.min(span.start)..main.start.max(span.start)];
        if between.bytes().filter(|byte| *byte == b'\n').count() <= APART {
            places.push((span, label.clone()));
        }
    }
    let first = places.iter().map(|(span, _)| span.start).chain([main.start]).min().unwrap_or(0);
    let last = places.iter().map(|(span, _)| shown_end(source, span)).chain([shown_end(source, &main)]).max();
    let begin = source[..first].rfind('\n').map_or(0, |at| at + 1);
    let last = last.unwrap_or(first);
    let end = source[last..].find('\n').map_or(source.len(), |at| last + at + 1);
    let before_main = source[begin..main.start].matches('\n').count();

    // Where something begins or ends: this is shown, whatever else is cut.
    let mut points: Vec<usize> =
        places.iter().map(|(span, _)| span).chain([&main]).flat_map(|s| [s.start, s.end]).collect();
    points.sort_unstable();
    let mut out = Kept::default();
    let mut at = begin;
    for line in source[begin..end].split_inclusive('\n') {
        let from = points.partition_point(|point| *point < at);
        let to = points.partition_point(|point| *point < at + line.len());
        out.line(source, at..at + line.len(), points.get(from..to).unwrap_or_default());
        at += line.len();
    }
    Excerpt {
        first_line: (finding.line as usize).saturating_sub(before_main).max(1),
        span: out.place(&main),
        related: places.into_iter().map(|(span, label)| (out.place(&span), label)).collect(),
        cut: out.cut,
        text: out.text,
    }
}

/// Where a span ends that is shown: one over very many lines is shown by its begin.
fn shown_end(source: &str, span: &Range<usize>) -> usize {
    let lines = source[span.clone()].match_indices('\n').take(APART);
    lines
        .last()
        .filter(|(at, _)| source[span.start + at + 1..span.end].contains('\n'))
        .map_or(span.end, |(at, _)| span.start + at)
}

fn clamp(source: &str, span: &Range<usize>) -> Range<usize> {
    let start = source.floor_char_boundary(span.start.min(source.len()));
    let end = source.ceil_char_boundary(span.end.min(source.len()));
    start..end.max(start)
}

/// What was kept of a text.
#[derive(Default)]
struct Kept {
    text: String,
    /// Where each kept piece stood in the source, and where it stands now.
    pieces: Vec<(Range<usize>, usize)>,
    cut: bool,
}

impl Kept {
    /// Keeps a line, or of a long one what is near the points in it.
    fn line(&mut self, source: &str, line: Range<usize>, points: &[usize]) {
        if line.len() <= WHOLE {
            return self.keep(source, line);
        }
        self.cut = true;
        let body_end = line.start + source[line.clone()].trim_end_matches(['\n', '\r']).len();
        let mut windows: Vec<Range<usize>> = Vec::new();
        let first = [line.start];
        for point in if points.is_empty() { &first } else { points } {
            let from = source.floor_char_boundary(point.saturating_sub(AROUND).clamp(line.start, body_end));
            let to = source.ceil_char_boundary(point.saturating_add(AROUND).clamp(line.start, body_end));
            match windows.last_mut() {
                Some(last) if last.end >= from => last.end = last.end.max(to),
                _ => windows.push(from..to),
            }
        }
        let mut at = line.start;
        for window in windows {
            if window.start > at {
                self.text.push_str(CUT);
            }
            at = window.end;
            self.keep(source, window);
        }
        if at < body_end {
            self.text.push_str(CUT);
        }
        self.keep(source, body_end..line.end);
    }

    fn keep(&mut self, source: &str, piece: Range<usize>) {
        let at = self.text.len();
        self.text.push_str(&source[piece.clone()]);
        self.pieces.push((piece, at));
    }

    fn place(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.offset(span.start);
        start..self.offset(span.end).max(start)
    }

    /// Where an offset of the source is now; in a part that was cut, the end of what was kept before it.
    fn offset(&self, at: usize) -> usize {
        let next = self.pieces.partition_point(|(piece, _)| piece.start <= at);
        let Some((piece, now)) = next.checked_sub(1).and_then(|index| self.pieces.get(index)) else { return 0 };
        now + (at - piece.start).min(piece.len())
    }
}

#[cfg(test)]
mod tests {
    use runbook_core::language::Code;

    use super::*;

    fn finding(source: &str, span: Range<usize>) -> Finding {
        let line = source[..span.start].matches('\n').count() + 1;
        Finding { span, line: line as u32, ..Finding::of_file(Code::InvalidYaml, "x.yaml", "wrong", None) }
    }

    #[test]
    fn short_lines_stay_as_they_are() {
        let source = "one\ntwo\nthree\nfour\nfive\n";
        let mut two = finding(source, 4..7);
        let shown = excerpt(source, &two);
        assert_eq!((shown.text.as_str(), shown.first_line, shown.span, shown.cut), ("two\n", 2, 0..3, false));
        two.related.push((14..18, "also".to_owned()));
        let shown = excerpt(source, &two);
        assert_eq!((shown.text.as_str(), &shown.related[0].0), ("two\nthree\nfour\n", &(10..14)));
    }

    #[test]
    fn a_long_line_is_cut_to_what_is_near() {
        let source = format!("a\n{}wrong{}other{}\nb\n", "ü".repeat(300_000), "ö".repeat(300_000), "x".repeat(300_000));
        let at = |word: &str| source.find(word).map(|at| at..at + 5).unwrap();
        let mut long = finding(&source, at("wrong"));
        long.related.push((at("other"), "also".to_owned()));
        let shown = excerpt(&source, &long);
        assert!(shown.cut && shown.text.len() < 600, "{}", shown.text.len());
        assert_eq!((&shown.text[shown.span], shown.first_line), ("wrong", 2));
        assert_eq!(&shown.text[shown.related[0].0.clone()], "other");
        assert!(
            shown.text.starts_with("…ü") && shown.text.contains("ö…ö") && shown.text.ends_with("x…\n"),
            "{}",
            shown.text
        );
    }

    #[test]
    fn what_is_far_away_or_without_end_is_left_out() {
        let source = "line\n".repeat(100_000);
        let mut all = finding(&source, 0..source.len());
        all.related.push((499_995..499_999, "also".to_owned()));
        let shown = excerpt(&source, &all);
        assert!(shown.text.len() <= 5 * (APART + 1) && shown.related.is_empty(), "{}", shown.text.len());
        assert_eq!(shown.span, 0..shown.text.len());
    }
}
