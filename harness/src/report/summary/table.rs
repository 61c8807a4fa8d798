//! A Markdown table with aligned columns.

use std::fmt;

/// Rows under a header. Columns of numbers are aligned to the right.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|title| (*title).to_owned()).collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        // A bar would end the cell.
        self.rows.push(cells.into_iter().map(|cell| cell.replace('|', "/")).collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether a column has numbers: every field is a number, `-` or empty, and at least one is not empty.
    fn is_number(&self, column: usize) -> bool {
        let first = |cell: &str| cell.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        let mut cells = self.rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty()).peekable();
        cells.peek().is_some() && cells.all(|cell| first(cell) && !cell.contains(char::is_alphabetic))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = || std::iter::once(&self.header).chain(&self.rows);
        let widths: Vec<usize> = (0..self.header.len())
            .map(|column| {
                all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
            })
            .collect();
        let numbers: Vec<bool> = (0..self.header.len()).map(|column| self.is_number(column)).collect();
        for (index, row) in all().enumerate() {
            for ((cell, width), number) in row.iter().zip(&widths).zip(&numbers) {
                if *number { write!(f, "| {cell:>width$} ")? } else { write!(f, "| {cell:<width$} ")? }
            }
            writeln!(f, "|")?;
            if index == 0 {
                for (width, number) in widths.iter().zip(&numbers) {
                    let dashes = "-".repeat(width - 1);
                    if *number { write!(f, "| {dashes}: ")? } else { write!(f, "| {dashes}- ")? }
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["name", "n"]);
        table.row(["a|b".to_owned(), "10".to_owned()]);
        table.row(["long name".to_owned(), "-".to_owned()]);
        assert_eq!(
            table.to_string(),
            "| name      |   n |\n| --------- | --: |\n| a/b       |  10 |\n| long name |   - |\n"
        );
    }
}
