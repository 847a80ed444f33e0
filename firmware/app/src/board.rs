//! What a board tells the app about itself.

/// Hooks of one board. Link, flash and arena are given to [`crate::App`] directly.
pub trait Board {
    /// The board's name, as in `boards.toml`.
    fn name(&self) -> &'static str;

    /// Ticks per second of [`Board::ticks`].
    fn tick_hz(&self) -> u32;

    /// A counter that runs on its own and wraps: cycles, instructions or a timer.
    fn ticks(&mut self) -> u32;

    /// The most stack bytes in use since start, and the stack's size; zeros when unknown.
    fn stack(&mut self) -> Stack {
        Stack::default()
    }

    /// Takes bytes of the log stream that wait to be sent and says how many; none by default.
    fn take_log(&mut self, into: &mut [u8]) -> usize {
        let _ = into;
        0
    }
}

/// Use of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stack {
    /// The most bytes in use since start.
    pub used: u32,
    /// Bytes of the whole stack.
    pub bytes: u32,
}
