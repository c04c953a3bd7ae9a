//! Tables for people: aligned columns, cut to the terminal where there is one.

use crate::line::{Line, Tone};
use crate::text::{sanitize, width};

/// Between two columns.
const GAP: usize = 2;
/// No column is cut below this.
const NARROWEST: usize = 6;

/// Rows under headings.
#[derive(Debug)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<(Tone, String)>>,
}

impl Table {
    /// A table without rows.
    pub fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
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
            shrink(&mut widths, columns);
        }
        let head: Vec<(Tone, String)> = self.headings.iter().map(|text| (Tone::Dim, (*text).to_owned())).collect();
        std::iter::once(&head).chain(&self.rows).map(|row| line(row, &widths)).collect()
    }
}

fn line(row: &[(Tone, String)], widths: &[usize]) -> Line {
    let mut line = Line::new();
    for (place, ((tone, text), columns)) in row.iter().zip(widths).enumerate() {
        if place > 0 {
            line.push(Tone::Plain, &" ".repeat(GAP));
        }
        line = line.column(*tone, text, *columns);
    }
    line
}

/// Takes from the widest column until all fit, or none can give.
fn shrink(widths: &mut [usize], columns: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    loop {
        let total: usize = widths.iter().sum::<usize>() + gaps;
        let over = total.saturating_sub(columns);
        let Some(widest) = widths.iter_mut().max().filter(|width| over > 0 && **width > NARROWEST) else { return };
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
}
