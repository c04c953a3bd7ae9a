//! What a terminal shows of what a program writes: as much of ECMA-48 as the command line uses, and anything else is
//! noted as unknown. Knows no processes.

/// A character cell behind a wide character.
const BEHIND: char = '\0';

/// A screen, and what has scrolled off it.
#[derive(Debug)]
pub struct Screen {
    columns: usize,
    rows: usize,
    cells: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// The last column was written: the next character goes to the next line.
    wrap_pending: bool,
    scrolled: Vec<String>,
    pending: Vec<u8>,
    /// Lines that were longer than the screen is wide and were broken by it.
    pub wraps: usize,
    /// How often the cursor went up: pictures that were drawn over another one.
    pub redraws: usize,
    /// Bytes that were written.
    pub bytes: usize,
    /// Sequences that this screen does not know.
    pub unknown: Vec<String>,
}

impl Screen {
    /// An empty screen.
    pub fn new(columns: usize, rows: usize) -> Self {
        Self {
            columns,
            rows,
            cells: vec![Vec::new(); rows],
            row: 0,
            column: 0,
            wrap_pending: false,
            scrolled: Vec::new(),
            pending: Vec::new(),
            wraps: 0,
            redraws: 0,
            bytes: 0,
            unknown: Vec::new(),
        }
    }

    /// Takes what was written.
    pub fn write(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.pending.extend_from_slice(bytes);
        while let Some(length) = self.take() {
            self.pending.drain(..length);
        }
    }

    /// Takes one character or sequence; `None` when it is not whole yet.
    fn take(&mut self) -> Option<usize> {
        let first = *self.pending.first()?;
        match first {
            0x1b => return self.escape(),
            b'\n' => {
                self.wrap_pending = false;
                self.line_feed();
            }
            b'\r' => {
                self.wrap_pending = false;
                self.column = 0;
            }
            0x00..=0x1f | 0x7f => self.unknown.push(format!("{first:#04x}")),
            _ => {
                let length = match first {
                    0x00..=0x7f => 1,
                    0xc0..=0xdf => 2,
                    0xe0..=0xef => 3,
                    _ => 4,
                };
                let text = self.pending.get(..length)?.to_vec();
                match String::from_utf8(text).ok().and_then(|text| text.chars().next()) {
                    Some(c) => self.put(c),
                    None => self.unknown.push(format!("{first:#04x}, which is no UTF-8")),
                }
                return Some(length);
            }
        }
        Some(1)
    }

    fn escape(&mut self) -> Option<usize> {
        if *self.pending.get(1)? != b'[' {
            self.unknown.push(format!("ESC {}", char::from(self.pending[1])));
            return Some(2);
        }
        let end = self.pending[2..].iter().position(|byte| (0x40..=0x7e).contains(byte))? + 2;
        let parameter = String::from_utf8_lossy(&self.pending[2..end]).into_owned();
        let number = parameter.parse().unwrap_or(1);
        match (self.pending[end], parameter.as_str()) {
            (b'A', _) => {
                self.redraws += 1;
                self.wrap_pending = false;
                self.row = self.row.saturating_sub(number);
            }
            (b'K', "") => self.cells[self.row].truncate(self.column),
            (b'J', "") => {
                self.cells[self.row].truncate(self.column);
                self.cells[self.row + 1..].iter_mut().for_each(Vec::clear);
            }
            (b'm', _) => {}
            (last, parameter) => self.unknown.push(format!("ESC [ {parameter} {}", char::from(last))),
        }
        Some(end + 1)
    }

    fn put(&mut self, c: char) {
        let width = if is_wide(c) { 2 } else { 1 };
        if self.wrap_pending || self.column + width > self.columns {
            self.wraps += 1;
            self.wrap_pending = false;
            self.column = 0;
            self.line_feed();
        }
        let line = &mut self.cells[self.row];
        if line.len() < self.column + width {
            line.resize(self.column + width, ' ');
        }
        line[self.column] = c;
        line[self.column + 1..self.column + width].fill(BEHIND);
        self.column += width;
        if self.column == self.columns {
            self.column -= 1;
            self.wrap_pending = true;
        }
    }

    fn line_feed(&mut self) {
        if self.row + 1 < self.rows {
            self.row += 1;
            return;
        }
        let first = self.cells.remove(0);
        self.scrolled.push(text(&first));
        self.cells.push(Vec::new());
    }

    /// What is to be seen now, without empty lines at the end.
    pub fn visible(&self) -> String {
        joined(self.cells.iter().map(|line| text(line)))
    }

    /// All that is to be seen now or has scrolled off.
    pub fn whole(&self) -> String {
        joined(self.scrolled.iter().cloned().chain(self.cells.iter().map(|line| text(line))))
    }
}

fn text(line: &[char]) -> String {
    let text: String = line.iter().filter(|c| **c != BEHIND).collect();
    text.trim_end().to_owned()
}

fn joined(lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    let length = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    lines[..length].iter().map(|line| format!("{line}\n")).collect()
}

fn is_wide(c: char) -> bool {
    matches!(u32::from(c), 0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xFF01..=0xFF60 | 0x1F000..=0x1FAFF)
}

#[cfg(test)]
mod tests {
    use super::Screen;

    fn shown(columns: usize, rows: usize, written: &str) -> Screen {
        let mut screen = Screen::new(columns, rows);
        // Byte by byte: nothing may depend on how it arrives.
        written.as_bytes().chunks(1).for_each(|byte| screen.write(byte));
        screen
    }

    #[test]
    fn a_picture_is_drawn_over_another() {
        let screen = shown(10, 4, "one\r\ntwo  \r\n\u{1b}[2A\u{1b}[31mTHREE\u{1b}[0m\u{1b}[K\r\nf\u{1b}[K\r\n\u{1b}[J");
        assert_eq!((screen.visible().as_str(), screen.redraws, screen.wraps), ("THREE\nf\n", 1, 0));
        assert!(screen.unknown.is_empty());
    }

    #[test]
    fn a_long_line_is_broken_and_what_scrolls_off_is_kept() {
        let screen = shown(4, 2, "abcd\r\nefghij\r\n日本語\r\n");
        assert_eq!(screen.whole(), "abcd\nefgh\nij\n日本\n語\n");
        assert_eq!(screen.visible(), "語\n");
        assert_eq!(screen.wraps, 2);
    }

    #[test]
    fn what_is_not_known_is_noted() {
        assert_eq!(shown(4, 2, "\u{1b}[2Ja\u{7}\u{1b}c").unknown, ["ESC [ 2 J", "0x07", "ESC c"]);
    }
}
