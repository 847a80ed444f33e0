//! Start-up of emulated boards: machines whose flash is plain memory and whose addresses are all known.

use embedded_io::{Read, Write};
use embernet_core::arch::Isa;

use crate::{Hardware, RamFlash, memory_mut, serve, stack};

/// A board's name, counter and memory, as `boards.toml` has them; `build.rs` writes this.
#[derive(Debug)]
pub struct Facts {
    /// The board's name.
    pub name: &'static str,
    /// Ticks per second of its counter.
    pub tick_hz: u32,
    /// First address of each model slot.
    pub slots: [usize; 2],
    /// Bytes of a slot.
    pub slot_bytes: usize,
    /// First address of the memory for models.
    pub arena: usize,
    /// Its bytes.
    pub arena_bytes: usize,
}

unsafe extern "C" {
    static mut _stack_end: u32;
    static mut _stack_start: u32;
}

/// Serves requests on `link` for ever: everything that follows once a board has its link and counter.
///
/// # Safety
/// Runs once, on the stack between the linker script's two ends. `facts` are this machine's: slots and arena are
/// memory that nothing else uses, apart from each other, and that the machine or a loader has initialised.
pub unsafe fn run<const ERASE_BYTES: usize>(
    facts: &Facts,
    isa: impl Isa,
    link: impl Read + Write,
    ticks: impl FnMut() -> u32,
) -> ! {
    // SAFETY: the linker script's ends of the stack that this program runs on.
    let stack = unsafe { stack::paint((&raw mut _stack_end).expose_provenance(), (&raw mut _stack_start).addr()) };
    // SAFETY: the caller's promise.
    let slots = facts.slots.map(|origin| unsafe { memory_mut(origin, facts.slot_bytes) });
    // SAFETY: likewise.
    let arena = unsafe { memory_mut(facts.arena, facts.arena_bytes) };
    let hardware = Hardware { name: facts.name, tick_hz: facts.tick_hz, ticks, stack };
    serve(link, slots.map(RamFlash::<ERASE_BYTES>::new), hardware, arena, isa)
}
