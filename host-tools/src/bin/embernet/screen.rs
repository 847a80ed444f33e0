//! The terminal as a canvas, given back whatever happens.

use std::io::{IsTerminal, stdin, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use embernet::monitor::{State, draw};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

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
