//! The last step of every board's start-up: what follows once it has its link, its counter and its flash.

use embedded_io::{Read, Write};
use embernet_app::Region;
use embernet_core::arch::Isa;
use embernet_core::plan::TRAINS;

use crate::{Hardware, Regions, memory_mut, serve, stack};

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
    /// First addresses of the two slots for checkpoints, and bytes of one, where the board has such.
    pub checkpoints: Option<([usize; 2], usize)>,
    /// First address and bytes of the memory for models; `None`: what statics and stack leave of the RAM.
    pub arena: Option<(usize, usize)>,
}

unsafe extern "C" {
    /// Written by `build.rs`: the lowest address of the stack.
    static mut _stack_floor: u32;
    static mut _stack_start: u32;
    static mut __sheap: u32;
}

impl Facts {
    /// Every region by its first address and bytes, made by `region`.
    pub fn regions<R>(&self, mut region: impl FnMut(usize, usize) -> R) -> Regions<R> {
        let models = self.slots.map(|origin| region(origin, self.slot_bytes));
        // A program that does not train keeps nothing.
        let checkpoints =
            self.checkpoints.filter(|_| TRAINS).map(|(origins, bytes)| origins.map(|origin| region(origin, bytes)));
        Regions { models, checkpoints }
    }
}

/// Serves requests on `link` for ever.
///
/// # Safety
/// Runs once, on the stack between the linker script's two ends. `facts` are this machine's: its arena, or the memory
/// between statics and stack, is memory that nothing else uses.
pub unsafe fn run<R: Region>(
    facts: &Facts,
    isa: impl Isa,
    link: impl Read + Write,
    ticks: impl FnMut() -> u32,
    flash: impl Into<Regions<R>>,
) -> ! {
    let floor = (&raw mut _stack_floor).expose_provenance();
    // SAFETY: the linker script's ends of the stack that this program runs on.
    let stack = unsafe { stack::paint(floor, (&raw mut _stack_start).addr()) };
    let (arena, bytes) = facts.arena.unwrap_or_else(|| {
        let statics_end = (&raw mut __sheap).expose_provenance();
        (statics_end, floor.saturating_sub(statics_end))
    });
    // SAFETY: the caller's promise. It may have no value yet, and any bytes are a valid arena.
    let arena = unsafe { memory_mut(arena, bytes) };
    let hardware = Hardware { name: facts.name, tick_hz: facts.tick_hz, ticks, stack };
    serve(link, flash.into(), hardware, arena, isa)
}

/// The board's entry of `boards.toml` as the module `facts`, by `build.rs`.
#[macro_export]
macro_rules! facts {
    () => {
        #[allow(dead_code)] // Not every board needs every one.
        mod facts {
            include!(concat!(env!("OUT_DIR"), "/facts.rs"));
        }
    };
}
