//! Where a case can run.

use crate::{device, nor::Nor};
use embernet::image::arena_for;
use embernet::link::{Board, Client};
use embernet_core::arch::{Isa, IsaId, Task, run_on};
use embernet_core::exec::{PlanKind, Session};
use embernet_core::image::Image;

/// Runs the inference plan of any image.
pub trait Runtime {
    /// For messages.
    fn name(&self) -> String;

    /// What images must be packed for.
    fn isa(&self) -> IsaId;

    /// Output 0 for these inputs, which fill the image's samples.
    ///
    /// # Errors
    /// What went wrong, for the test's message.
    fn infer(&mut self, image: &Image<'_>, inputs: &[&[u8]]) -> Result<Vec<u8>, String>;
}

/// A session in this process; with a device's token as the scalar one, which reads its order of weights, too.
#[derive(Debug, Clone, Copy)]
pub struct Host(pub IsaId);

impl Runtime for Host {
    fn name(&self) -> String {
        format!("host-{}", self.0.name())
    }

    fn isa(&self) -> IsaId {
        self.0
    }

    fn infer(&mut self, image: &Image<'_>, inputs: &[&[u8]]) -> Result<Vec<u8>, String> {
        struct Infer<'a>(&'a Image<'a>, &'a [&'a [u8]]);
        impl Task for Infer<'_> {
            type Output = Result<Vec<u8>, String>;

            fn run<I: Isa>(self, isa: I) -> Self::Output {
                let Self(image, inputs) = self;
                let mut arena = arena_for(image);
                let mut session = Session::new(image, &mut arena, isa).map_err(|error| error.to_string())?;
                for (index, input) in inputs.iter().enumerate() {
                    let place = session.input_mut(PlanKind::Infer, index);
                    if place.len() != input.len() {
                        return Err(format!("input {index} has {} bytes, the case {}", place.len(), input.len()));
                    }
                    place.copy_from_slice(input);
                }
                let samples = image.header().infer.samples as usize;
                session.infer(samples).map_err(|error| error.to_string())?;
                Ok(session.output(0).to_vec())
            }
        }
        let isa = if self.0.has_layout() { IsaId::Scalar } else { self.0 };
        run_on(isa, Infer(image, inputs)).ok_or_else(|| "this processor lacks the instructions".to_owned())?
    }
}

/// A device at the other end of a link: the app in this process, a machine in QEMU or a board.
#[derive(Debug)]
pub struct Device(pub Client);

impl Device {
    /// The app in this process.
    pub fn in_process() -> Self {
        let (slots, _) = Nor::slots(1 << 20);
        let (client, _) = device::connect(slots, 1 << 20);
        Self(client)
    }
}

impl Runtime for Device {
    fn name(&self) -> String {
        self.0.name().to_owned()
    }

    fn isa(&self) -> IsaId {
        // The emulated ones are named after their board.
        let board = Board::all().find(|board| self.0.name() == format!("QEMU ({})", board.name));
        board.map_or(IsaId::Scalar, |board| board.isa)
    }

    fn infer(&mut self, image: &Image<'_>, inputs: &[&[u8]]) -> Result<Vec<u8>, String> {
        self.0.load(image, |_, _| {}).map_err(|error| error.to_string())?;
        let run = self.0.infer(image, inputs, false).map_err(|error| error.to_string())?;
        run.outputs.into_iter().next().ok_or_else(|| "no output".to_owned())
    }
}

/// Every session that this processor can run.
pub fn hosts() -> Vec<Box<dyn Runtime>> {
    let available = IsaId::ALL.into_iter().filter(|isa| isa.is_available() || isa.has_layout());
    available.map(|isa| Box::new(Host(isa)) as Box<dyn Runtime>).collect()
}
