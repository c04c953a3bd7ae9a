//! Tables for people: aligned columns, cut to the terminal where there is one.

use crate::line::{Line, Tone};
use crate::text::{sanitize, width};

/// Between two columns.
const GAP: usize = 2;
/// No column is cut below this.
const NARROWEST: usize = 6;
/// The last column, which is for free text, gives way first, down to this.
const LAST_COLUMNS: usize = 12;
/// Where the last column is broken between words it keeps at least this.
const WRAPPED_COLUMNS: usize = 24;

/// Rows under headings.
#[derive(Debug)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<(Tone, String)>>,
    /// Whether the last column is broken between words instead of cut.
    wrapped: bool,
}

impl Table {
    /// A table without rows.
    pub fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new(), wrapped: false }
    }

    /// The same table with a last column that is broken between words instead of cut.
    pub fn wrapped(self) -> Self {
        Self { wrapped: true, ..self }
    }

    /// Adds a row; it has a cell for each heading.
    pub fn row(&mut self, cells: Vec<(Tone, String)>) {
        self.rows.push(cells);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its lines in at most `columns` columns; `None`: nothing is cut.
    pub fn lines(&self, columns: Option<usize>) -> Vec<Line> {
        let mut widths: Vec<usize> = self.headings.iter().map(|heading| width(heading)).collect();
        for row in &self.rows {
            for (place, (_, text)) in widths.iter_mut().zip(row) {
                *place = (*place).max(width(&sanitize(text)));
            }
        }
        if let Some(columns) = columns {
            shrink(&mut widths, columns, if self.wrapped { WRAPPED_COLUMNS } else { LAST_COLUMNS }, self.wrapped);
        }
        let head: Vec<(Tone, String)> = self.headings.iter().map(|text| (Tone::Dim, (*text).to_owned())).collect();
        std::iter::once(&head).chain(&self.rows).flat_map(|row| self.row_lines(row, &widths)).collect()
    }

    fn row_lines(&self, row: &[(Tone, String)], widths: &[usize]) -> Vec<Line> {
        let mut line = Line::new();
        let mut left = 0;
        for (place, ((tone, text), columns)) in row.iter().zip(widths).enumerate() {
            if place > 0 {
                line.push(Tone::Plain, &" ".repeat(GAP));
            }
            if self.wrapped && place + 1 == widths.len() {
                left = line.width();
                line.push(*tone, text);
            } else {
                line = line.column(*tone, text, *columns);
            }
        }
        match widths.last() {
            Some(last) if self.wrapped => line.wrap(left + last, left),
            _ => vec![line],
        }
    }
}

/// Takes from the last column down to `last`, then from the widest one, until all fit, or none can give.
fn shrink(widths: &mut [usize], columns: usize, last: usize, keep_last: bool) {
    let gaps = GAP * widths.len().saturating_sub(1);
    let over = (widths.iter().sum::<usize>() + gaps).saturating_sub(columns);
    if let Some(width) = widths.last_mut() {
        *width -= over.min(width.saturating_sub(last));
    }
    let givers = widths.len() - usize::from(keep_last);
    loop {
        let total: usize = widths.iter().sum::<usize>() + gaps;
        let over = total.saturating_sub(columns);
        let widest = widths[..givers].iter_mut().max().filter(|width| over > 0 && **width > NARROWEST);
        let Some(widest) = widest else { return };
        *widest -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["RUN", "RUNBOOK", "WHAT"]);
        table.row(vec![
            (Tone::Bold, "12".into()),
            (Tone::Plain, "backup".into()),
            (Tone::Plain, "a long story".into()),
        ]);
        table.row(vec![(Tone::Bold, "7".into()), (Tone::Plain, "dr-restore".into()), (Tone::Plain, String::new())]);
        table
    }

    fn text(columns: Option<usize>) -> String {
        table().lines(columns).iter().map(|line| line.plain() + "\n").collect()
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            text(None),
            "RUN  RUNBOOK     WHAT\n\
             12   backup      a long story\n\
             7    dr-restore\n"
        );
    }

    #[test]
    fn the_widest_column_gives_way() {
        assert_eq!(
            text(Some(24)),
            "RUN  RUNBOOK    WHAT\n\
             12   backup     a long …\n\
             7    dr-resto…\n"
        );
        assert!(table().lines(Some(24)).iter().all(|line| line.width() <= 24));
    }

    #[test]
    fn the_last_column_is_broken_between_words_if_that_is_asked() {
        let mut table = Table::new(&["INPUT", "DESCRIPTION"]).wrapped();
        table.row(vec![(Tone::Bold, "source".into()), (Tone::Plain, "Folders to restore, named as before.".into())]);
        table.row(vec![(Tone::Bold, "a-long-name-of-an-input".into()), (Tone::Plain, "x".into())]);
        let text: Vec<String> = table.lines(Some(44)).iter().map(Line::plain).collect();
        assert_eq!(
            text,
            [
                "INPUT               DESCRIPTION",
                "source              Folders to restore,",
                "                    named as before.",
                "a-long-name-of-an…  x",
            ]
        );
    }
}
