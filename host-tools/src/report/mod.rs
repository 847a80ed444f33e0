//! Reports for people: one HTML file that holds all it needs and opens anywhere.
//!
//! ```
//! use embernet::report::{Curves, Report, Section, Table};
//!
//! let report = Report::new("Iris")
//!     .subtitle("4-10-10-3, Adam")
//!     .section("Loss", Section::Curves(Curves::new("epoch", "loss").series("training", [(1.0, 0.9), (2.0, 0.4)])))
//!     .section("Size", Section::Table(Table::new(["part", "bytes"]).row(["weights", "772"])));
//! assert!(report.to_html().contains("<svg"));
//! ```
//!
//! Whatever is handed in is text: all of it is escaped. There are no scripts, and colours follow the
//! reader's light or dark setting.

mod confusion;
mod curves;
mod diagram;
mod escape;
mod memory_map;
mod program;
mod scatter;
mod table;

#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::path::Path;

pub use curves::{Curves, Range};
pub use diagram::{Block, BlockKind, Diagram};
pub use memory_map::{MemoryMap, Region, RegionKind};
pub use scatter::{Scatter, ScatterKind};
pub use table::Table;

use crate::files::{self, FileError};
use crate::train::metrics::Confusion;
use escape::escape;

/// A page under construction.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    title: String,
    subtitle: Option<String>,
    sections: Vec<(String, Section)>,
}

/// What a report shows under a heading.
#[derive(Debug, Clone, PartialEq)]
pub enum Section {
    /// Paragraphs, divided by empty lines.
    Text(String),
    /// Names with their values: settings, facts.
    KeyValues(Vec<(String, String)>),
    /// A few numbers that matter, large: label and value.
    Figures(Vec<(String, String)>),
    /// Lines over a common axis.
    Curves(Curves),
    /// What was taken for what, with the score of every class.
    Confusion(Confusion),
    /// Rows and columns.
    Table(Table),
    /// An arena's bytes over the steps of a plan.
    MemoryMap(MemoryMap),
    /// Sections side by side, each under a small heading.
    Columns(Vec<(String, Section)>),
}

impl Report {
    /// A page with nothing but a title.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), subtitle: None, sections: Vec::new() }
    }

    /// The line under the title.
    #[must_use]
    pub fn subtitle(mut self, text: impl Into<String>) -> Self {
        self.subtitle = Some(text.into());
        self
    }

    /// Appends a section.
    #[must_use]
    pub fn section(mut self, heading: impl Into<String>, section: Section) -> Self {
        self.sections.push((heading.into(), section));
        self
    }

    /// The whole page.
    pub fn to_html(&self) -> String {
        let title = escape(&self.title);
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{}</style>\n</head>\n\
             <body>\n<header>\n<p class=\"brand\">embernet</p>\n<h1>{title}</h1>\n",
            include_str!("style.css")
        );
        if let Some(subtitle) = &self.subtitle {
            put(&mut html, format_args!("<p class=\"subtitle\">{}</p>\n", escape(subtitle)));
        }
        html.push_str("</header>\n<main>\n");
        for (heading, section) in &self.sections {
            put(&mut html, format_args!("<section>\n<h2>{}</h2>\n", escape(heading)));
            section.render(true, &mut html);
            html.push_str("</section>\n");
        }
        html.push_str("</main>\n</body>\n</html>\n");
        html
    }

    /// Writes the page, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        files::write(path, self.to_html().as_bytes())
    }
}

impl Section {
    /// `full`: across the page, not beside another section.
    fn render(&self, full: bool, html: &mut String) {
        match self {
            Section::Text(text) => {
                for paragraph in text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()) {
                    put(html, format_args!("<p>{}</p>\n", escape(paragraph)));
                }
            }
            Section::KeyValues(pairs) => definitions(html, "pairs", pairs),
            Section::Figures(pairs) => definitions(html, "figures", pairs),
            Section::Curves(curves) => curves.render(full, html),
            Section::Confusion(matrix) => confusion::render(matrix, html),
            Section::Table(table) => table.render(html),
            Section::MemoryMap(map) => map.render(html),
            Section::Columns(columns) => {
                html.push_str("<div class=\"columns\">\n");
                for (heading, section) in columns {
                    put(html, format_args!("<div class=\"column\">\n<h3>{}</h3>\n", escape(heading)));
                    section.render(false, html);
                    html.push_str("</div>\n");
                }
                html.push_str("</div>\n");
            }
        }
    }
}

fn definitions(html: &mut String, class: &str, pairs: &[(String, String)]) {
    put(html, format_args!("<dl class=\"{class}\">\n"));
    for (name, value) in pairs {
        put(html, format_args!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value)));
    }
    html.push_str("</dl>\n");
}

/// Writing to a `String` cannot fail.
fn put(html: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = html.write_fmt(text);
}
