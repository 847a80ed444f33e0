//! Standard output: tables and sentences for people, or JSON lines for programs.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use embernet::passes::Report;
use serde::Serialize;

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// JSON lines, or text.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a line of JSON; nothing when people read.
    pub fn json(&self, value: &impl Serialize) {
        if self.json {
            // The values are structs and maps of plain numbers and texts: they always have a JSON form.
            print(&serde_json::to_string(value).unwrap_or_default());
        }
    }

    /// Prints lines of text; nothing when programs read.
    pub fn text(&self, text: impl Display) {
        if !self.json {
            print(text.to_string().trim_end());
        }
    }

    /// Says what was simplified, if anything was.
    pub fn simplified(&self, report: &Report) {
        if !report.is_empty() {
            self.text(report);
        }
    }
}

fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
        // A reader that has seen enough (`| head`) is no failure of ours.
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        eprintln!("error: cannot write to standard output: {error}");
        std::process::exit(1);
    }
}

/// A number in groups of three digits: `12,345`.
pub fn grouped(number: impl Into<u64>) -> String {
    embernet::graph::grouped(number.into())
}
