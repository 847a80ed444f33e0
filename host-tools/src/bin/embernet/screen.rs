//! The terminal as a canvas, given back whatever happens.

use std::io::{IsTerminal, Stdout, stdin, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use embernet::monitor::{State, draw};
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::text::Line;
use ratatui::widgets::Widget;
use ratatui::{DefaultTerminal, Terminal, TerminalOptions, Viewport};

/// What a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To end.
    Quit,
    /// To stop for a while, or to go on.
    Pause,
}

/// Whether there is a person to draw for.
pub fn is_here() -> bool {
    stdout().is_terminal() && stdin().is_terminal()
}

/// Set by a signal, which may come at any time.
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// The whole screen.
pub struct Screen(DefaultTerminal);

impl Screen {
    /// Takes the terminal.
    pub fn open() -> Result<Self> {
        // Keys come to us; what comes from elsewhere (`kill -INT`) must not leave the terminal as it is now.
        // A handler is there already only where something else ends us.
        let _ = ctrlc::set_handler(|| IS_OVER.store(true, Ordering::Relaxed));
        Ok(Self(ratatui::try_init().context("cannot draw in this terminal; --plain prints lines")?))
    }

    /// Draws a device.
    pub fn draw(&mut self, state: &State, footer: &str) -> Result<()> {
        self.0.draw(|frame| draw(frame, state, footer)).context("cannot draw in this terminal")?;
        Ok(())
    }

    /// What the person at the keyboard wants; waits this long for it.
    pub fn wish(&mut self, wait: Duration) -> Result<Option<Wish>> {
        let failed = "cannot read the keyboard";
        let until = Instant::now() + wait;
        loop {
            if IS_OVER.load(Ordering::Relaxed) {
                return Ok(Some(Wish::Quit));
            }
            if !event::poll(until.saturating_duration_since(Instant::now())).context(failed)? {
                return Ok(None);
            }
            // A new size is noticed when it is drawn.
            if let Event::Key(key) = event::read().context(failed)?
                && let Some(wish) = wish_of(key)
            {
                return Ok(Some(wish));
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn wish_of(key: KeyEvent) -> Option<Wish> {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        _ if key.kind != KeyEventKind::Press => None,
        KeyCode::Char('c' | 'd') if is_control => Some(Wish::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Wish::Quit),
        KeyCode::Char(' ' | 'p') => Some(Wish::Pause),
        _ => None,
    }
}

/// Some lines at the bottom, below what is printed meanwhile.
pub struct Strip {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    drawn: Option<Instant>,
}

/// Lines of a strip.
const LINES: u16 = 12;

/// The shortest time between two drawings.
const FRAME: Duration = Duration::from_millis(50);

impl Strip {
    /// Takes the lines; `None` where nobody looks.
    pub fn open() -> Option<Self> {
        if !is_here() {
            return None;
        }
        let options = TerminalOptions { viewport: Viewport::Inline(LINES) };
        let terminal = Terminal::with_options(CrosstermBackend::new(stdout()), options).ok()?;
        // The keyboard is left alone, so Ctrl-C is a signal. It must not leave the cursor hidden.
        let _ = ctrlc::set_handler(|| {
            let _ = execute!(stdout(), Show);
            println!();
            std::process::exit(130);
        });
        Some(Self { terminal, drawn: None })
    }

    /// Draws, unless it has been drawn just now.
    pub fn draw(&mut self, state: &State) {
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME) {
            // A terminal that does not draw is no reason to end a training.
            let _ = self.terminal.draw(|frame| draw(frame, state, ""));
            self.drawn = Some(Instant::now());
        }
    }

    /// Prints a line above.
    pub fn tell(&mut self, text: &str) {
        let _ = self.terminal.insert_before(1, |buffer| Line::from(text).render(buffer.area, buffer));
    }
}

impl Drop for Strip {
    fn drop(&mut self) {
        let _ = self.terminal.clear();
        let _ = self.terminal.show_cursor();
    }
}
