//! Some lines at the bottom of a terminal, drawn as `embernet monitor` draws, below what is printed meanwhile.
//!
//! The keyboard is left alone, so that Ctrl-C ends a training as it always does: the drawing is made off the screen and
//! shown as the message of a progress bar.

use std::fmt::Write;
use std::time::{Duration, Instant};

use embernet::monitor::{State, draw};
use indicatif::{ProgressBar, ProgressStyle};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::crossterm::terminal;
use ratatui::style::{Color, Modifier};

use crate::output::Output;

/// The lines.
pub struct Strip {
    bar: ProgressBar,
    drawn: Option<Instant>,
    /// Lines that wait to be printed above.
    waiting: Vec<String>,
}

/// Lines of a strip, at most.
const LINES: u16 = 12;

/// The shortest time between two drawings.
const FRAME: Duration = Duration::from_millis(60);

impl Strip {
    /// Shows nothing yet.
    pub fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self { bar: bar.with_style(style), drawn: None, waiting: Vec::new() }
    }

    fn is_due(&self) -> bool {
        self.bar.is_hidden() || self.drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME)
    }

    /// Draws, unless it has been drawn just now or nobody looks.
    pub fn draw(&mut self, state: &State) {
        if !self.is_due() {
            return;
        }
        self.print();
        self.drawn = Some(Instant::now());
        if self.bar.is_hidden() {
            return;
        }
        let Ok((width, height)) = terminal::size() else { return };
        // A full last column would make some terminals begin a new line.
        let size = (width.saturating_sub(1), LINES.min(height / 2));
        let Ok(mut off_screen) = Terminal::new(TestBackend::new(size.0, size.1));
        let Ok(_) = off_screen.draw(|frame| draw(frame, state, ""));
        self.bar.set_message(text(off_screen.backend().buffer()));
    }

    /// Prints a line above; many in a row wait for the next drawing, so that it does not flicker.
    pub fn above(&mut self, text: String) {
        self.waiting.push(text);
        if self.is_due() {
            self.print();
        }
    }

    fn print(&mut self) {
        if !self.waiting.is_empty() {
            let lines = std::mem::take(&mut self.waiting).join("\n");
            self.bar.suspend(|| Output::new(false).text(lines));
        }
    }
}

impl Drop for Strip {
    fn drop(&mut self) {
        self.print();
        self.bar.finish_and_clear();
    }
}

/// A drawing as lines with the terminal's codes for colours.
fn text(buffer: &Buffer) -> String {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let mut text = String::new();
    for (number, row) in buffer.content().chunks(buffer.area.width.max(1).into()).enumerate() {
        if number > 0 {
            text.push('\n');
        }
        for cells in row.chunk_by(|a, b| (a.fg, a.modifier) == (b.fg, b.modifier)) {
            let words = cells.iter().map(Cell::symbol).collect::<String>();
            let codes = cells.first().map_or_else(String::new, codes);
            if is_plain || codes.is_empty() {
                text.push_str(&words);
            } else {
                let _ = write!(text, "\x1b[{codes}m{words}\x1b[0m");
            }
        }
    }
    text
}

/// The numbers of a cell's style (ECMA-48, "Select graphic rendition"); none for the terminal's own.
fn codes(cell: &Cell) -> String {
    let modifiers = [(Modifier::BOLD, "1"), (Modifier::DIM, "2"), (Modifier::ITALIC, "3")];
    let color = match cell.fg {
        Color::Red => Some("31"),
        Color::Green => Some("32"),
        Color::Yellow => Some("33"),
        Color::Cyan => Some("36"),
        _ => None,
    };
    let modifiers = modifiers.into_iter().filter(|(modifier, _)| cell.modifier.contains(*modifier));
    modifiers.map(|(_, code)| code).chain(color).collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::Stylize;
    use ratatui::text::Line;
    use ratatui::widgets::Widget;

    #[test]
    fn a_drawing_becomes_lines() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 5, 2));
        Line::from("ab").bold().fg(Color::Red).render(Rect::new(1, 1, 2, 1), &mut buffer);
        let (red, end) = if std::env::var_os("NO_COLOR").is_some() { ("", "") } else { ("\x1b[1;31m", "\x1b[0m") };
        assert_eq!(text(&buffer), format!("     \n {red}ab{end}  "));
    }
}
