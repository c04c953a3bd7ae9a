//! The last lines of an output whose log is full, in bounded memory. How they are written is not its business.

use runbook_shim::log::Stream;

/// Lines and their bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Lines.
    pub lines: u64,
    /// Bytes of their texts.
    pub bytes: u64,
}

impl Count {
    /// Counts one more line.
    pub fn add(&mut self, text: &[u8]) {
        self.lines += 1;
        self.bytes += text.len() as u64;
    }

    /// Counts what another has counted.
    pub fn join(&mut self, other: Count) {
        self.lines += other.lines;
        self.bytes += other.bytes;
    }
}

/// A line that is kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept<'a> {
    /// When it was read, in microseconds since 1970.
    pub micros: i64,
    /// Where it came from.
    pub stream: Stream,
    /// Whether it goes on with the line before it.
    pub continues: bool,
    /// Its text.
    pub text: &'a [u8],
}

/// Keeps at least the last `keep` bytes of lines, and at most twice as much: two halves, of which the older is thrown
/// away when the newer is full.
#[derive(Debug)]
pub struct Tail {
    keep: usize,
    older: Half,
    newer: Half,
    dropped: Count,
}

#[derive(Debug, Default)]
struct Half {
    bytes: Vec<u8>,
    lines: Vec<Head>,
    count: Count,
}

#[derive(Debug)]
struct Head {
    micros: i64,
    stream: Stream,
    continues: bool,
    end: usize,
}

impl Tail {
    /// Keeps at least `keep` bytes.
    pub fn new(keep: usize) -> Tail {
        Tail { keep, older: Half::default(), newer: Half::default(), dropped: Count::default() }
    }

    /// Takes one more line.
    pub fn push(&mut self, line: &Kept<'_>) {
        // The heads of short lines weigh more than their texts.
        let weight = self.newer.bytes.len() + self.newer.lines.len() * size_of::<Head>();
        if weight + line.text.len() + size_of::<Head>() > self.keep {
            std::mem::swap(&mut self.older, &mut self.newer);
            self.dropped.join(self.newer.count);
            self.newer.bytes.clear();
            self.newer.lines.clear();
            self.newer.count = Count::default();
        }
        self.newer.bytes.extend_from_slice(line.text);
        self.newer.count.add(line.text);
        let end = self.newer.bytes.len();
        self.newer.lines.push(Head { micros: line.micros, stream: line.stream, continues: line.continues, end });
    }

    /// What was thrown away so far.
    pub fn dropped(&self) -> Count {
        self.dropped
    }

    /// The lines that are kept, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = Kept<'_>> {
        [&self.newer, &self.older].into_iter().flat_map(|half| {
            (0..half.lines.len()).rev().map(|at| {
                let head = &half.lines[at];
                let start = if at == 0 { 0 } else { half.lines[at - 1].end };
                Kept {
                    micros: head.micros,
                    stream: head.stream,
                    continues: head.continues,
                    text: &half.bytes[start..head.end],
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_all_are_counted() {
        let mut tail = Tail::new(1000);
        for n in 0..500 {
            let text = format!("line {n}");
            tail.push(&Kept { micros: n, stream: Stream::Out, continues: false, text: text.as_bytes() });
        }
        let kept: Vec<(i64, String)> =
            tail.newest_first().map(|k| (k.micros, String::from_utf8(k.text.to_vec()).unwrap())).collect();
        assert!(kept.len() >= 1000 / (size_of::<Head>() + 8), "{}", kept.len());
        for (line, n) in kept.iter().zip((0..500).rev()) {
            assert_eq!(line, &(n, format!("line {n}")));
        }
        assert_eq!(tail.dropped().lines + kept.len() as u64, 500);
    }

    #[test]
    fn a_line_longer_than_everything_is_kept() {
        let mut tail = Tail::new(10);
        for text in [&[b'a'; 100][..], &[b'b'; 100]] {
            tail.push(&Kept { micros: 0, stream: Stream::Err, continues: true, text });
        }
        assert_eq!(tail.newest_first().next().unwrap().text, [b'b'; 100]);
    }
}
