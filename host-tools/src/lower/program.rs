//! A program: steps over named buffers, before and after the buffers have places.
//!
//! A step is kept as a function from places to record. It is called twice: first with symbolic
//! places (the buffer's number as the offset), so that the record's own list of operands tells which
//! buffers it touches and how; then with the real ones. So the planner, the device's parser and
//! `inspect` all read the same list.

use super::loops::Loops;
use crate::graph::{DType, NodeId, Piece, TensorId};
use crate::image::LayerInfo;
use crate::passes::Report;
use embernet_core::kernels::copy::Copy;
use embernet_core::plan::{Access, Encode, Ref, Step};
use std::rc::Rc;

/// Alignment of every buffer in bytes: the widest element that kernels read.
pub const BUFFER_ALIGN: usize = 4;
/// The same for transients of a host with wide registers: no vector of a row that is a multiple of one straddles two
/// cache lines, which would cost up to a third of a convolution's speed.
pub const LINE_ALIGN: usize = 64;

/// Offsets have 31 bits.
pub const MOST_BYTES: usize = i32::MAX as usize;

/// Number of a buffer in its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferId(pub u32);

impl BufferId {
    /// As an index into [`Program::buffers`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a buffer lives.
#[derive(Debug, Clone, PartialEq)]
pub enum Home {
    /// In flash: frozen parameters and tables.
    Data(Vec<u8>),
    /// At the arena's start, copied from flash: a trainable parameter.
    Parameter {
        /// The graph's tensor.
        tensor: TensorId,
        /// Values to start from.
        initial: Vec<u8>,
    },
    /// Behind the parameters: optimiser state.
    State {
        /// Its length.
        bytes: usize,
    },
    /// Behind the state, where its lifetime allows: activations, gradients, scratch.
    Transient,
    /// Within a transient, from this byte on.
    Within {
        /// The transient.
        of: BufferId,
        /// Its first byte here.
        from: usize,
    },
}

/// A named piece of memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Buffer {
    /// For tables; not unique.
    pub name: String,
    /// Where it lives.
    pub home: Home,
    /// Length; for transients the most that any step touches.
    pub bytes: usize,
    /// The place, once planned.
    pub at: Ref,
}

impl Buffer {
    /// The place within another buffer, if it has no other from the start.
    pub(super) fn inside(&self) -> Option<Inside> {
        match self.home {
            Home::Within { of: buffer, from: offset } => Some(Inside { buffer, offset }),
            _ => None,
        }
    }
}

/// A record ready for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Number of the kind.
    pub kind: u16,
    /// The kind's name.
    pub name: &'static str,
    /// The record as 32-bit words, without header.
    pub words: Vec<u32>,
}

impl Encoded {
    pub(super) fn of<R: Encode>(record: R) -> Self {
        let words = record.as_bytes().as_chunks().0.iter().map(|w| u32::from_le_bytes(*w)).collect();
        Self { kind: R::KIND, name: R::NAME, words }
    }

    /// The record as core sees it; `None` never happens for what `Encoded::of` made.
    pub fn step(&self) -> Option<Step<'_>> {
        Step::decode(self.kind, &self.words)
    }
}

/// The places of all buffers, as a step's function asks for them.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    at: &'a [Ref],
    /// Buffers, and others that stand in for them.
    instead: &'a [(BufferId, BufferId)],
}

impl<'a> Places<'a> {
    /// The place of every buffer, by number.
    pub(super) fn new(at: &'a [Ref]) -> Self {
        Self { at, instead: &[] }
    }

    /// The same, but each second buffer of these pairs stands in for the first.
    fn with(self, instead: &'a [(BufferId, BufferId)]) -> Self {
        Self { instead, ..self }
    }

    /// Where the buffer lies.
    pub fn at(&self, buffer: BufferId) -> Ref {
        let other = self.instead.iter().find(|(of, _)| *of == buffer);
        self.at[other.map_or(buffer, |(_, other)| *other).index()]
    }

    /// Where it lies, or [`Ref::NONE`].
    pub fn opt(&self, buffer: Option<BufferId>) -> Ref {
        buffer.map_or(Ref::NONE, |b| self.at(b))
    }
}

/// What a step does with a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// Which.
    pub buffer: BufferId,
    /// How much of it, from its start.
    pub bytes: usize,
    /// What happens to it.
    pub access: Access,
}

/// Where a buffer lies that has no place of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inside {
    pub buffer: BufferId,
    pub offset: usize,
}

/// A copy between a buffer and one piece of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub whole: BufferId,
    /// Where in it, in bytes.
    pub offset: usize,
    pub part: BufferId,
    /// All of the part.
    pub bytes: usize,
}

type Make = Rc<dyn Fn(Places<'_>) -> Encoded>;

/// One step.
pub struct StepSpec {
    /// The layer it belongs to.
    pub layer: String,
    /// The node it belongs to.
    pub node: Option<NodeId>,
    /// Pairs of buffers that may share one place if the first is not read after this step.
    pub(super) in_place: Vec<(BufferId, BufferId)>,
    /// Whether the step does nothing once they share it.
    pub(super) vanishes: bool,
    /// The copy that the step is, if it does nothing once the part lies in the whole.
    pub(super) part: Option<Part>,
    pub(super) make: Make,
}

impl StepSpec {
    fn new(layer: String, node: Option<NodeId>, make: Make) -> Self {
        Self { layer, node, in_place: Vec::new(), vanishes: false, part: None, make }
    }

    /// The same step with another record: what `change` makes of it, and other buffers in place of some.
    pub(super) fn changed(
        &self,
        instead: Vec<(BufferId, BufferId)>,
        change: impl Fn(Encoded) -> Encoded + 'static,
    ) -> Self {
        let inner = Rc::clone(&self.make);
        Self::new(self.layer.clone(), self.node, Rc::new(move |places| change(inner(places.with(&instead)))))
    }
}

impl core::fmt::Debug for StepSpec {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StepSpec").field("layer", &self.layer).field("node", &self.node).finish_non_exhaustive()
    }
}

/// An input, output or target of a sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// The tensor's name.
    pub name: String,
    /// Where its values lie.
    pub buffer: BufferId,
    /// Element type.
    pub dtype: PortType,
    /// Of one sample.
    pub shape: Vec<usize>,
    /// Scale and zero point of integers. For class indices the zero point is the number of classes.
    pub scale: f32,
    /// See `scale`.
    pub zero_point: i32,
}

/// Element type of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortType {
    /// As the graph's tensor.
    Tensor(DType),
    /// `u32` class indices.
    Class,
}

/// A list of steps with its ports: one of the image's plans.
#[derive(Debug, Default)]
pub struct Sequence {
    /// In order of execution.
    pub steps: Vec<StepSpec>,
    /// Written by the caller before a run.
    pub inputs: Vec<Port>,
    /// Read by the caller after it; none for training.
    pub outputs: Vec<Port>,
    /// What training aims at; none for inference.
    pub target: Option<Port>,
    /// Most samples in one run.
    pub samples: usize,
    /// The buffer that holds each tensor of the graph, by tensor number. Unless buffers are kept
    /// apart ([`super::Options::reuse`]), it does so only from the step that writes it to the last
    /// one that reads it.
    pub values: Vec<Option<BufferId>>,
    /// Outputs of streamed layers that may lie over their inputs.
    pub overlays: Vec<Overlay>,
    /// Filled by [`Program::place`].
    pub records: Vec<Encoded>,
    /// What each step touches, filled by [`Program::place`].
    pub uses: Vec<Vec<Use>>,
    /// How the transients were packed, filled by [`Program::place`].
    pub layout: Layout,
}

/// Two buffers of which one is written while the other one is read for the last time, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlay {
    /// The one that begins first.
    pub lower: BufferId,
    /// The other one.
    pub upper: BufferId,
    /// How many bytes further on it begins, at least: then nothing is overwritten that is still to be read.
    pub distance: usize,
}

/// The arena of one sequence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    /// Arena bytes, persistent ones included.
    pub arena_bytes: usize,
    /// Bytes for transients.
    pub transient_bytes: usize,
    /// Most transient bytes alive at one step; no packing takes less.
    pub lower_bound: usize,
    /// How the best packing was found.
    pub strategy: &'static str,
    /// Each transient with its first and last step.
    pub spans: Vec<(BufferId, usize, usize)>,
}

/// Everything an image holds, by name.
#[derive(Debug, Default)]
pub struct Program {
    /// All memory, by number.
    pub buffers: Vec<Buffer>,
    /// What tables say about the layers.
    pub layers: Vec<LayerInfo>,
    /// What was simplified before.
    pub simplified: Report,
    /// Parameters that stand for parts of the graph's own.
    pub pieces: Vec<Piece>,
    /// The loops that int8 layers with weights run in.
    pub loops: Loops,
    /// The inference plan.
    pub infer: Sequence,
    /// The training plan.
    pub train: Option<Sequence>,
    /// Bytes of parameters, filled by [`Program::place`].
    pub parameter_bytes: usize,
    /// Bytes of parameters and optimiser state.
    pub persistent_bytes: usize,
    /// Bytes of the data section.
    pub data_bytes: usize,
    /// Buffers that lie in others, by number.
    pub(super) merged: Vec<Option<Inside>>,
}

impl Sequence {
    /// Appends a step.
    pub fn push<R: Encode>(
        &mut self,
        layer: impl Into<String>,
        node: Option<NodeId>,
        make: impl Fn(Places<'_>) -> R + 'static,
    ) {
        let make: Make = Rc::new(move |places| Encoded::of(make(places)));
        self.steps.push(StepSpec::new(layer.into(), node, make));
    }

    /// Appends a step that may write the second buffer of a pair over the first. Its record must be
    /// right when both have the same place.
    pub fn push_in_place<R: Encode>(
        &mut self,
        layer: impl Into<String>,
        node: Option<NodeId>,
        pairs: &[(BufferId, BufferId)],
        make: impl Fn(Places<'_>) -> R + 'static,
    ) {
        self.push(layer, node, make);
        if let Some(step) = self.steps.last_mut() {
            step.in_place = pairs.to_vec();
        }
    }

    /// Appends a copy, which vanishes where `from` is not read after it: then both are one buffer.
    pub fn push_copy(
        &mut self,
        layer: impl Into<String>,
        node: Option<NodeId>,
        bytes: u32,
        from: BufferId,
        to: BufferId,
    ) {
        self.push_in_place(layer, node, &[(from, to)], move |p| Copy { bytes, x: p.at(from), y: p.at(to) });
        if let Some(step) = self.steps.last_mut() {
            step.vanishes = true;
        }
    }

    /// Says that the last step is such a copy.
    pub(super) fn copies_part(&mut self, part: Part) {
        if let Some(step) = self.steps.last_mut() {
            step.part = Some(part);
        }
    }

    pub(super) fn ports(&self) -> impl Iterator<Item = &Port> {
        self.inputs.iter().chain(&self.outputs).chain(&self.target)
    }
}

impl Program {
    /// Adds a buffer.
    pub fn add(&mut self, name: impl Into<String>, home: Home) -> BufferId {
        let bytes = match &home {
            Home::Data(bytes) | Home::Parameter { initial: bytes, .. } => bytes.len(),
            Home::State { bytes } => *bytes,
            Home::Transient | Home::Within { .. } => 0,
        };
        let id = BufferId(self.buffers.len() as u32);
        self.buffers.push(Buffer { name: name.into(), home, bytes, at: Ref::NONE });
        id
    }

    /// Adds a buffer for an activation, a gradient or scratch; its size follows from its uses.
    pub fn transient(&mut self, name: impl Into<String>) -> BufferId {
        self.add(name, Home::Transient)
    }

    /// Adds a place within a transient.
    pub(super) fn within(&mut self, of: BufferId, from: usize) -> BufferId {
        self.add(self.buffer(of).name.clone(), Home::Within { of, from })
    }

    /// The buffer.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.index()]
    }

    /// Bytes of the arena that both plans share, once placed.
    pub fn arena_bytes(&self) -> usize {
        let train = self.train.as_ref().map_or(0, |train| train.layout.arena_bytes);
        self.infer.layout.arena_bytes.max(train)
    }

    /// Where in the data section the initial values of a parameter lie: behind all other data, in
    /// the order of the arena.
    pub fn initial_at(&self, parameter: BufferId) -> Ref {
        let base = self.data_bytes - self.parameter_bytes;
        Ref::data((base + self.buffer(parameter).at.offset()) as u32)
    }
}

impl Port {
    /// Elements of one sample; `None` if it overflows.
    pub fn elements(&self) -> Option<usize> {
        match self.dtype {
            PortType::Class => Some(1),
            PortType::Tensor(_) => crate::graph::elements(&self.shape),
        }
    }

    /// Bytes of so many samples; `None` if it overflows.
    pub fn bytes(&self, samples: usize) -> Option<usize> {
        let size = match self.dtype {
            PortType::Class => 4,
            PortType::Tensor(dtype) => dtype.bytes(),
        };
        self.elements()?.checked_mul(samples)?.checked_mul(size)
    }
}
