//! A model in a program on `cortex-m-rt` alone.
#![no_std]
#![no_main]

use cortex_m::{asm, singleton};
use embernet_core::arch::Dsp;
use embernet_core::exec::{Arena, PlanKind, Session};
use embernet_core::image::Image;
use embernet_examples::{ARENA_BYTES, MODEL, best, measure, put};
use stm32f4xx_hal as _; // the chip's interrupts

#[cortex_m_rt::entry]
fn main() -> ! {
    let arena = singleton!(: Arena<ARENA_BYTES> = Arena::new()).unwrap();
    let image = Image::parse(&MODEL.0).unwrap();
    // SAFETY: a Cortex-M4 has the instructions of this token.
    let mut session = Session::new(&image, arena.bytes(), unsafe { Dsp::new() }).unwrap();
    loop {
        put(&measure(), session.input_mut(PlanKind::Infer, 0));
        session.infer(1).unwrap();
        act_on(session.output(0));
    }
}

fn act_on(output: &[u8]) {
    if best(output) == 1 {
        asm::nop(); // what one does about it
    }
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        asm::bkpt();
    }
}
