//! A model in a task of RTIC: whatever has a higher priority interrupts it, and what has the same gets its turn after
//! every step of the network.
#![no_std]
#![no_main]

use cortex_m::asm;

#[rtic::app(device = stm32f4xx_hal::pac, dispatchers = [USART6])]
mod app {
    use cortex_m::asm;
    use embassy_futures::yield_now;
    use embernet_core::arch::Dsp;
    use embernet_core::exec::{PlanKind, Session};
    use embernet_core::image::Image;
    use embernet_examples::{MODEL, ModelArena, best, measure, put};

    #[shared]
    struct Shared {}

    #[local]
    struct Local {
        session: Session<'static, Dsp>,
    }

    #[init(local = [arena: ModelArena = ModelArena::new()])]
    fn init(context: init::Context) -> (Shared, Local) {
        let image = Image::parse(&MODEL.0).unwrap();
        // SAFETY: a Cortex-M4 has the instructions of this token.
        let session = Session::new(&image, context.local.arena.bytes(), unsafe { Dsp::new() }).unwrap();
        classify::spawn().unwrap();
        (Shared {}, Local { session })
    }

    #[task(local = [session])]
    async fn classify(context: classify::Context) {
        let session = context.local.session;
        loop {
            put(&measure(), session.input_mut(PlanKind::Infer, 0));
            let mut run = session.start_infer(1).unwrap();
            while session.poll(&mut run, 1).is_pending() {
                yield_now().await;
            }
            if best(session.output(0)) == 1 {
                asm::nop(); // what one does about it
            }
        }
    }
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        asm::bkpt();
    }
}
