//! Draws a picture in place on a terminal, and lines above it that stay. Knows rows and columns, never runs.

use crate::console::{Console, size};
use crate::failure::Result;
use crate::line::Line;

/// The end of a line and the rest of the screen are cleared with these (ECMA-48).
const CLEAR_LINE: &str = "\u{1b}[K";
const CLEAR_BELOW: &str = "\u{1b}[J";

/// What stands on the terminal now.
#[derive(Debug, Default)]
pub struct Screen {
    /// The widths of the lines that were drawn.
    drawn: Vec<usize>,
}

impl Screen {
    /// Draws a picture over the one before, with lines above it that stay: those are not cut, the terminal breaks them
    /// where they are longer than it is wide, so that they can be copied whole.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn draw(&mut self, console: &Console, above: &[Line], picture: &[Line]) -> Result<()> {
        // The last column stays free: some terminals wrap already when it is written.
        let columns = size().0.saturating_sub(1).max(1);
        let mut text = up(&self.drawn, columns + 1);
        if !above.is_empty() {
            text.push_str(CLEAR_BELOW);
        }
        for line in above {
            text.push_str(&console.rendered(line, None));
            text.push('\n');
        }
        for line in picture {
            text.push_str(&console.rendered(line, Some(columns)));
            text.push_str(CLEAR_LINE);
            text.push('\n');
        }
        text.push_str(CLEAR_BELOW);
        console.raw(&text)?;
        console.flush()?;
        self.drawn = picture.iter().map(|line| line.width().min(columns)).collect();
        Ok(())
    }

    /// Leaves what stands there where it is: the next picture begins below.
    pub fn leave(&mut self) {
        self.drawn.clear();
    }

    /// A line that somebody else wrote stands below the picture: the next drawing goes over it, too.
    pub fn below(&mut self) {
        self.drawn.push(0);
    }
}

/// Back to the first line of a picture. The terminal may have become narrower since, and have wrapped its lines.
fn up(drawn: &[usize], columns: usize) -> String {
    let rows: usize = drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum();
    if rows == 0 { String::new() } else { format!("\r\u{1b}[{rows}A") }
}

#[cfg(test)]
mod tests {
    use super::up;

    #[test]
    fn wrapped_lines_count_by_their_rows() {
        for (drawn, columns, expected) in
            [(&[][..], 80, ""), (&[10, 79, 0], 80, "\r\u{1b}[3A"), (&[10, 79, 0], 40, "\r\u{1b}[4A")]
        {
            assert_eq!(up(drawn, columns), expected);
        }
    }
}
