//! Plain tables.

use super::{escape, put};

/// Rows under column titles. A column whose every cell is a number is set flush right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Appends a row; missing cells are empty, cells beyond the columns are left out.
    #[must_use]
    pub fn row(mut self, cells: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.push(cells);
        self
    }

    /// [`Table::row`] in place.
    pub fn push(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    pub(super) fn render(&self, html: &mut String) {
        let class: Vec<&str> = (0..self.columns.len())
            .map(|column| match self.rows.iter().all(|row| is_number(&row[column])) {
                true => " class=\"number\"",
                false => "",
            })
            .collect();
        html.push_str("<div class=\"scroll\"><table class=\"plain\">\n<thead><tr>");
        for (title, class) in self.columns.iter().zip(&class) {
            put(html, format_args!("<th{class}>{}</th>", escape(title)));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for (cell, class) in row.iter().zip(&class) {
                put(html, format_args!("<td{class}>{}</td>", escape(cell)));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n");
    }
}

/// `1 234`, `-0.5`, `96.7 %`, `12 KB`, or nothing at all (`-` too).
fn is_number(cell: &str) -> bool {
    let digits = cell.trim_start_matches(['-', '+', '\u{2212}']);
    digits.is_empty() || digits.starts_with(|c: char| c.is_ascii_digit()) && cell.split_whitespace().count() <= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_right() {
        let mut html = String::new();
        Table::new(["name", "bytes"]).row(["a<b", "1 024"]).row(["c", "-"]).row(["d"]).render(&mut html);
        assert!(html.contains("<th>name</th><th class=\"number\">bytes</th>"), "{html}");
        assert!(html.contains("<td>a&lt;b</td><td class=\"number\">1 024</td>"), "{html}");
        assert!(is_number("96.7 %") && !is_number("conv 3x3") && !is_number("3 by 3 by 4 window"));
    }
}
