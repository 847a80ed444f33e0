//! An image whose inference plan is written step by step: one, or a chain of them.

use embernet::graph::{DType, TensorId};
use embernet::image::{AlignedBytes, Metadata, PackOptions, write};
use embernet::lower::{BufferId, Home, Port, PortType, Program, Sequence};
use embernet_core::arch::IsaId;
use embernet_core::optim::OptimizerRecord;
use embernet_core::plan::{Encode, Ref};
use zerocopy::{Immutable, IntoBytes};

/// The image while it is built: inputs and output stand, the steps are missing.
#[derive(Debug)]
pub struct Steps {
    program: Program,
    sequence: Sequence,
    isa: IsaId,
    /// What the next step reads and writes, if that is not the case's inputs and output.
    link: Option<(BufferId, BufferId)>,
}

/// Where the operands of the step lie.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// The inputs, in order.
    pub x: &'a [Ref],
    /// The output.
    pub y: Ref,
    /// Constants, in the order given; an empty one is absent.
    pub constants: &'a [Ref],
    /// Scratch, if it has any.
    pub scratch: Ref,
}

impl Steps {
    pub(super) fn new(isa: IsaId, samples: usize) -> Self {
        Self { program: Program::default(), sequence: Sequence { samples, ..Sequence::default() }, isa, link: None }
    }

    /// The instruction set that scratch is sized for.
    pub fn isa(&self) -> IsaId {
        self.isa
    }

    pub(super) fn input(&mut self, dtype: DType, elements: usize) {
        let name = format!("x{}", self.sequence.inputs.len());
        let port = self.port(name, dtype, elements);
        self.sequence.inputs.push(port);
    }

    pub(super) fn output(&mut self, dtype: DType, elements: usize) {
        let port = self.port("y".into(), dtype, elements);
        self.sequence.outputs.push(port);
    }

    fn port(&mut self, name: String, dtype: DType, elements: usize) -> Port {
        let buffer = self.program.transient(&name);
        let dtype = PortType::Tensor(dtype);
        Port { name, buffer, dtype, shape: vec![elements / self.sequence.samples], scale: 1.0, zero_point: 0 }
    }

    /// For chains: announces the next step. The first one reads the case's input, the last one writes its output,
    /// and between them each reads what the one before wrote.
    pub fn link(&mut self, is_last: bool) {
        let x = self.link.map_or(self.sequence.inputs[0].buffer, |(_, y)| y);
        let y = if is_last { self.sequence.outputs[0].buffer } else { self.program.transient("between") };
        self.link = Some((x, y));
    }

    /// Writes a step, with these constants in the data section and so many bytes of scratch.
    pub fn step<R: Encode>(
        &mut self,
        constants: &[&dyn Constant],
        scratch_bytes: usize,
        make: impl Fn(At<'_>) -> R + 'static,
    ) {
        let homes = self.constants(constants);
        let scratch = (scratch_bytes > 0).then(|| self.program.transient("scratch"));
        let (x, y) = match self.link {
            Some((x, y)) => (vec![x], y),
            None => (self.sequence.inputs.iter().map(|port| port.buffer).collect(), self.sequence.outputs[0].buffer),
        };
        self.sequence.push("step", None, move |places| {
            let x: Vec<Ref> = x.iter().map(|&buffer| places.at(buffer)).collect();
            let constants: Vec<Ref> = homes.iter().map(|&buffer| places.opt(buffer)).collect();
            make(At { x: &x, y: places.at(y), constants: &constants, scratch: places.opt(scratch) })
        });
    }

    /// Writes a step that needs more than one piece of memory beside its inputs and output: so many bytes each.
    pub fn step_with<R: Encode, const N: usize>(
        &mut self,
        constants: &[&dyn Constant],
        transients: &[usize; N],
        make: impl Fn(At<'_>, [Ref; N]) -> R + 'static,
    ) {
        let places = transients.map(|_| self.program.transient("beside"));
        let homes = self.constants(constants);
        let (x, y): (Vec<BufferId>, _) =
            (self.sequence.inputs.iter().map(|port| port.buffer).collect(), self.sequence.outputs[0].buffer);
        self.sequence.push("step", None, move |at| {
            let x: Vec<Ref> = x.iter().map(|&buffer| at.at(buffer)).collect();
            let constants: Vec<Ref> = homes.iter().map(|&buffer| at.opt(buffer)).collect();
            let operands = At { x: &x, y: at.at(y), constants: &constants, scratch: Ref::NONE };
            make(operands, places.map(|buffer| at.at(buffer)))
        });
    }

    /// For layers with a memory: writes the step once for each input; all write the output, and the state goes on
    /// from one to the next. Its place is given as scratch.
    pub fn with_state<R: Encode>(
        &mut self,
        constants: &[&dyn Constant],
        state: Vec<u8>,
        make: impl Fn(At<'_>) -> R + Clone + 'static,
    ) {
        let homes = self.constants(constants);
        let state = self.program.add("state", Home::Parameter { tensor: TensorId(0), initial: state });
        let y = self.sequence.outputs[0].buffer;
        for x in self.sequence.inputs.iter().map(|port| port.buffer).collect::<Vec<_>>() {
            let (homes, make) = (homes.clone(), make.clone());
            self.sequence.push("step", None, move |at| {
                let constants: Vec<Ref> = homes.iter().map(|&buffer| at.opt(buffer)).collect();
                make(At { x: &[at.at(x)], y: at.at(y), constants: &constants, scratch: at.at(state) })
            });
        }
    }

    /// Buffers of constants; an empty one has none.
    fn constants(&mut self, constants: &[&dyn Constant]) -> Vec<Option<BufferId>> {
        let mut homes = Vec::new();
        for (number, constant) in constants.iter().enumerate() {
            let bytes = constant.bytes();
            let home = Home::Data(bytes.to_vec());
            homes.push((!bytes.is_empty()).then(|| self.program.add(format!("constant {number}"), home)));
        }
        homes
    }

    pub(super) fn finish(mut self, name: &str) -> AlignedBytes {
        self.program.infer = self.sequence;
        self.program.place(false, embernet::lower::BUFFER_ALIGN).unwrap_or_else(|error| panic!("{name}: {error}"));
        let options = PackOptions { samples: self.program.infer.samples, isa: self.isa, ..PackOptions::default() };
        write(&self.program, &Metadata::default(), &OptimizerRecord::sgd(0.0), &options)
            .unwrap_or_else(|error| panic!("{name}: {error:?}"))
    }
}

/// A list of numbers for the data section.
pub trait Constant {
    /// As they lie in memory.
    fn bytes(&self) -> &[u8];
}

impl<T: IntoBytes + Immutable> Constant for Vec<T> {
    fn bytes(&self) -> &[u8] {
        self.as_slice().as_bytes()
    }
}
