//! A model in a task of Embassy's executor: the other tasks get their turns after every step of the network. It learns
//! between two answers.
#![no_std]
#![no_main]

use cortex_m::{asm, singleton};
use embassy_executor::Spawner;
use embassy_futures::yield_now;
use embernet_core::arch::Dsp;
use embernet_core::exec::{PlanKind, Session};
use embernet_core::image::Image;
use embernet_examples::{MODEL, ModelArena, best, measure, put};
use stm32f4xx_hal as _; // the chip's interrupts

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let arena = singleton!(: ModelArena = ModelArena::new()).unwrap();
    let image = Image::parse(&MODEL.0).unwrap();
    // SAFETY: a Cortex-M4 has the instructions of this token.
    let session = Session::new(&image, arena.bytes(), unsafe { Dsp::new() }).unwrap();
    spawner.spawn(classify(session).unwrap());
}

#[embassy_executor::task]
async fn classify(mut session: Session<'static, Dsp>) {
    loop {
        let sample = measure();
        put(&sample, session.input_mut(PlanKind::Infer, 0));
        let mut run = session.start_infer(1).unwrap();
        while session.poll(&mut run, 1).is_pending() {
            yield_now().await;
        }
        let class = best(session.output(0)) as u32;

        // What it has seen was of this class: one step of training on it.
        put(&sample, session.input_mut(PlanKind::Train, 0));
        session.target_mut()[..4].copy_from_slice(&class.to_ne_bytes());
        let mut run = session.start_train_step(1).unwrap();
        while session.poll(&mut run, 1).is_pending() {
            yield_now().await;
        }
    }
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        asm::bkpt();
    }
}
