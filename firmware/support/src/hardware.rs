//! The app's board hooks out of parts, and the last step of every board's start-up.

use embedded_io::{Read, Write};
use embernet_app::{App, Board, Region, Stack};
use embernet_core::arch::Isa;

use crate::stack;

/// Board hooks: a name, a counter, the painted stack and the log queue.
#[derive(Debug)]
pub struct Hardware<T> {
    /// The board's name in `boards.toml`.
    pub name: &'static str,
    /// Ticks per second of the counter.
    pub tick_hz: u32,
    /// Reads a counter that runs on its own and wraps.
    pub ticks: T,
    /// The stack, painted at start.
    pub stack: stack::Painted,
}

impl<T: FnMut() -> u32> Board for Hardware<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn tick_hz(&self) -> u32 {
        self.tick_hz
    }

    /// Whatever reads the counter times what lies between two readings: marked for an emulator that counts.
    fn ticks(&mut self) -> u32 {
        #[cfg(target_os = "none")]
        crate::marks::end();
        let ticks = (self.ticks)();
        #[cfg(target_os = "none")]
        crate::marks::begin();
        ticks
    }

    fn stack(&mut self) -> Stack {
        Stack { used: self.stack.used(), bytes: self.stack.bytes() }
    }

    #[cfg(all(target_os = "none", feature = "log"))]
    fn take_log(&mut self, into: &mut [u8]) -> usize {
        crate::log::take(into)
    }
}

/// A board's flash for models and for what they learn.
#[derive(Debug)]
pub struct Regions<R> {
    /// The model slots.
    pub models: [R; 2],
    /// The slots of checkpoints.
    pub checkpoints: Option<[R; 2]>,
}

impl<R> From<[R; 2]> for Regions<R> {
    fn from(models: [R; 2]) -> Self {
        Self { models, checkpoints: None }
    }
}

/// Serves requests for ever. `arena` is cut at its front to start at a multiple of 16.
pub fn serve<L, F, T, I>(link: L, flash: Regions<F>, hardware: Hardware<T>, arena: &mut [u8], isa: I) -> !
where
    L: Read + Write,
    F: Region,
    T: FnMut() -> u32,
    I: Isa,
{
    let skip = arena.as_ptr().align_offset(16);
    let arena = arena.get_mut(skip..).unwrap_or_default();
    let mut app = App::new(link, flash.models, hardware, arena, isa);
    if let Some(checkpoints) = flash.checkpoints {
        app = app.with_checkpoints(checkpoints);
    }
    loop {
        app.run();
    }
}
