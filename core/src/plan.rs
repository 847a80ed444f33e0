//! Plans: linear lists of step records, read in place.
//!
//! A plan lies in the image as records, each a [`StepHeader`] followed by one `#[repr(C)]` struct of 32-bit words and a
//! table of where its operands lie (`plan/table.rs`).
//! [`Plan::check`] proves a whole plan sound before the first step runs; after that steps run without any check.
//!
//! To add a kind of step: write its record beside its kernel, implement [`StepRecord`], and give it a line in
//! [`steps!`](self) below. `docs/adding-an-op.md` walks through it.

use crate::arch::Isa;
use crate::kernels::{
    activation, add, average_pool, batch_norm, binary, conv2d, copy, dense, depthwise_conv2d, fixed, gru, layer_norm,
    lookup, lstm, matmul, max_pool, normalise, prelu, quantize, reduce, resize, softmax, strided, svdf, trained_int8,
    transpose_conv2d, update,
};
use crate::loss;
use crate::memory::{Slices, view};
use crate::optim::Optimizer;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

mod carried;
mod kinds;
mod operand;
pub(crate) mod place;
#[cfg(test)]
mod place_tests;
pub(crate) mod table;

pub use crate::arch::Stored;
use carried::{NORMALISE, is_loss};
pub(crate) use kinds::Known;
use kinds::{Kind, Kinds};

pub use carried::{
    COMPACT, FIRST_FIXED_KIND, FIRST_HOST_KIND, FIRST_TRAINING_KIND, NORMALISES, OWN, PLAIN, STATES, TRAINS, WATCHES,
    carries, is_compression, is_fixed, is_fixed_image,
};
pub use operand::{Access, Operand, Operands};
pub use place::Place;
pub(crate) use place::{Packed, factors, operands};
pub use table::NewTable;
pub(crate) use table::{Entry, Table, is_sound};

/// Where an operand lies: bit 31 set means the arena, clear means the image's data section; the rest is a byte offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Ref(pub u32);

impl Ref {
    /// An absent operand, such as the bias of a layer without one.
    pub const NONE: Ref = Ref(u32::MAX);
    const ARENA: u32 = 1 << 31;

    /// A place in the arena.
    pub const fn arena(offset: u32) -> Self {
        Self(offset | Self::ARENA)
    }

    /// A place in the data section.
    pub const fn data(offset: u32) -> Self {
        Self(offset & !Self::ARENA)
    }

    /// Whether the operand is absent.
    pub const fn is_none(self) -> bool {
        self.0 == Self::NONE.0
    }

    /// Whether it lies in the data section.
    pub const fn is_data(self) -> bool {
        self.0 & Self::ARENA == 0
    }

    /// Byte offset within its section.
    pub const fn offset(self) -> usize {
        (self.0 & !Self::ARENA) as usize
    }
}

/// What every step of one run shares.
#[derive(Clone, Debug)]
pub struct Context {
    /// How many samples this run carries, at most the plan's.
    pub samples: usize,
    /// The optimiser's settings for this update.
    pub optimizer: Optimizer,
    /// Whether this is a training run: its arithmetic is exact in every build.
    pub training: bool,
    /// Mean loss over the samples, written by the loss step.
    pub loss: f32,
    /// Samples whose wanted class has the greatest output, written by the loss step.
    pub right: u32,
    /// Whether this training run ends with the loss: nothing that was learned may change.
    pub evaluation: bool,
    /// Whether this run ends with the step that normalises inputs, and what that does in place of its work.
    pub adapts: Option<Adapts>,
}

/// What a run does for the normalisation of inputs ([`crate::adapt::normalise`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adapts {
    /// It sees its samples.
    Measures,
    /// It makes the tables of what was seen.
    Normalises,
}

impl Context {
    /// Passes whose gradients make one update.
    pub fn passes(&self) -> usize {
        if STATES { self.optimizer.settings.passes as usize } else { 1 }
    }
}

/// A step's fixed-size record: shape and places, nothing else.
pub trait StepRecord: FromBytes + IntoBytes + Immutable + KnownLayout + Copy {
    /// The step's operands as data; see `plan/place.rs`.
    const PLACES: &'static [Place];

    /// What steps for hosts add that data cannot say: of a record, for so many samples, to what the data says.
    const MORE: Option<fn(&Self, usize, Operands) -> Operands> = None;

    /// One operand for each of [`StepRecord::PLACES`] when the step carries `samples` samples.
    #[inline]
    fn places(&self, samples: usize) -> Operands {
        let operands = Operands::described(Packed::of(Self::PLACES).bytes(), view(self.as_bytes()), samples);
        match Self::MORE {
            Some(more) => more(self, samples, operands),
            None => operands,
        }
    }

    /// Everything that the step touches when it carries `samples` samples.
    ///
    /// The parser, the planner and `inspect` all rely on this one list.
    fn operands(&self, samples: usize) -> Operands {
        self.places(samples).present()
    }

    /// Whether a device program has a function for this kernel alone, with its own registers and stack: for layers that
    /// may be so small that entering the one function of all other kernels counts.
    const SMALL: bool = false;

    /// Whether the shape is consistent in itself: no dimension is zero, products fit, outputs follow from inputs.
    fn shape_is_valid(&self) -> bool;

    /// What the step expects the optimiser to have of state ([`crate::optim::state::layout`]), if it updates parameters.
    fn optimizer_slots(&self) -> Option<u32> {
        None
    }

    /// Runs the kernel.
    fn run<I: Isa>(&self, isa: I, at: &mut Slices<'_>, context: &mut Context);
}

/// Precedes every record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StepHeader {
    /// Which kind of record follows.
    pub kind: u16,
    /// The record's length in 32-bit words, without this header.
    pub words: u8,
    /// How many operands the table behind the record has: in the low four bits those that the step reads, in the high
    /// four those that it writes.
    pub operands: u8,
}

/// Why a plan was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PlanError {
    /// The section ends within step `step`.
    Truncated {
        /// Index of the step.
        step: u32,
    },
    /// Bytes are left after the last step.
    Excess {
        /// How many bytes.
        bytes: u32,
    },
    /// A kind that this firmware does not know.
    UnknownKind {
        /// Index of the step.
        step: u32,
        /// Its kind.
        kind: u16,
    },
    /// A known kind of unexpected length.
    BadLength {
        /// Index of the step.
        step: u32,
        /// Its kind.
        kind: u16,
    },
    /// A shape that contradicts itself.
    BadShape {
        /// Index of the step.
        step: u32,
        /// Its kind.
        kind: u16,
    },
    /// An operand outside its section, misaligned, written although it lies in flash, or not where the step's table
    /// has it.
    BadOperand {
        /// Index of the step.
        step: u32,
        /// Index among the step's operands; their number if the table has more.
        operand: u32,
    },
    /// A written operand overlaps another one.
    Overlap {
        /// Index of the step.
        step: u32,
        /// Index in the step's table.
        operand: u32,
    },
}

impl core::fmt::Display for PlanError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::Truncated { step } => write!(f, "plan ends within step {step}"),
            Self::Excess { bytes } => write!(f, "plan has {bytes} bytes after its last step"),
            Self::UnknownKind { step, kind } if is_fixed(kind) => write!(
                f,
                "step {step} computes in 16-bit fixed point (kind {kind}), which this program was built without: programs \
                 for cores with FPU leave it out; `embernet firmware` makes one for this image"
            ),
            Self::UnknownKind { step, kind } => {
                write!(f, "step {step} is of kind {kind}, which this build does not know")
            }
            Self::BadLength { step, kind } => write!(f, "step {step} (kind {kind}) has an unexpected length"),
            Self::BadShape { step, kind } => write!(
                f,
                "step {step} (kind {kind}) has a shape that contradicts itself, or weights in an order that this program \
                 has no loops for (programs for size read what was packed with `--optimise size`)"
            ),
            Self::BadOperand { step, operand } => {
                write!(
                    f,
                    "operand {operand} of step {step} is outside its section, misaligned or not where its table says"
                )
            }
            Self::Overlap { step, operand } => {
                write!(f, "entry {operand} of the table of step {step} overlaps another")
            }
        }
    }
}

impl core::error::Error for PlanError {}

/// The sections that a plan's operands must lie in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Length of the data section.
    pub data_bytes: usize,
    /// Length of the arena that the plan may use.
    pub arena_bytes: usize,
    /// Most samples in one run.
    pub samples: usize,
    /// What the image's optimiser has of state ([`crate::optim::state::layout`]).
    pub slots: u32,
}

/// A list of steps, proved sound by [`Plan::check`] (or empty).
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan<'a> {
    words: &'a [u32],
    steps: u32,
    bounds: Bounds,
}

impl<'a> Plan<'a> {
    /// Proves `bytes` to be `steps` sound records: known kinds, consistent shapes, operands inside `bounds` and
    /// aligned, no write over another operand.
    pub fn check(bytes: &'a [u8], steps: u32, bounds: &Bounds) -> Result<Self, PlanError> {
        let (words, ragged) = bytes.as_chunks::<4>();
        let words = view::<u32>(words.as_flattened());
        let mut rest = words;
        for step in 0..steps {
            let (words, table, after) = split_step(rest).ok_or(PlanError::Truncated { step })?;
            let kind = words.first().map_or(0, |word| header(*word).kind);
            let (known, places) = KINDS.find(kind).ok_or(PlanError::UnknownKind { step, kind })?;
            let stored = Stored::of(words, known).ok_or(PlanError::BadLength { step, kind })?;
            if !stored.is_sound(bounds.slots) {
                return Err(PlanError::BadShape { step, kind });
            }
            table::check(step, table, |samples| stored.places(places, samples), bounds)?;
            rest = after;
        }
        let excess = rest.len() * 4 + ragged.len();
        if excess > 0 {
            return Err(PlanError::Excess { bytes: excess as u32 });
        }
        Ok(Self { words, steps, bounds: *bounds })
    }

    /// How many steps.
    pub fn len(&self) -> usize {
        self.steps as usize
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps == 0
    }

    /// The steps in order.
    pub fn steps(&self) -> Steps<'a> {
        Steps { rest: self.words, bounds: self.bounds }
    }

    /// Of a training plan: its steps up to the loss and with it; nothing of any other plan.
    pub(crate) fn until_loss(&self) -> Self {
        self.until(is_loss)
    }

    /// The steps up to the one that normalises inputs and with it; nothing of a plan without.
    pub(crate) fn until_normalised(&self) -> Self {
        self.until(|kind| kind == NORMALISE)
    }

    fn until(&self, is_last: fn(u16) -> bool) -> Self {
        let (mut steps, mut count) = (self.steps(), 0);
        while let Some((words, _)) = steps.advance() {
            count += 1;
            if words.first().is_some_and(|word| is_last(header(*word).kind)) {
                let words = self.words.get(..self.words.len() - steps.rest.len()).unwrap_or_default();
                return Self { words, steps: count, bounds: self.bounds };
            }
        }
        Self::default()
    }
}

/// Iterator over a checked plan.
#[derive(Clone, Debug)]
pub struct Steps<'a> {
    rest: &'a [u32],
    bounds: Bounds,
}

impl Steps<'_> {
    /// Whether none are left.
    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// What their plan was proved for.
    pub(crate) fn bounds(&self) -> &Bounds {
        &self.bounds
    }
}

impl<'a> Steps<'a> {
    /// Header and record of the next step, and where its operands lie.
    #[inline(always)]
    pub(crate) fn advance(&mut self) -> Option<(&'a [u32], Table<'a>)> {
        let (words, table, rest) = split_step(self.rest)?;
        self.rest = rest;
        Some((words, table))
    }
}

impl<'a> Iterator for Steps<'a> {
    type Item = Step<'a>;

    #[inline]
    fn next(&mut self) -> Option<Step<'a>> {
        let (words, _) = self.advance()?;
        let (first, record) = words.split_first()?;
        Step::decode(header(*first).kind, record)
    }
}

/// A step's header from its word.
#[inline(always)]
pub(crate) fn header(word: u32) -> StepHeader {
    zerocopy::transmute!(word)
}

/// Header and record of the first step, its table, and what follows.
#[inline(always)]
fn split_step(words: &[u32]) -> Option<(&[u32], Table<'_>, &[u32])> {
    let header = header(*words.first()?);
    let (step, after) = words.split_at_checked(1 + usize::from(header.words))?;
    let (table, rest) = table::split(after, header.operands)?;
    Some((step, table, rest))
}

#[inline(always)]
fn run_record<R: Encode, I: Isa>(step: Stored<'_>, isa: I, at: &mut Slices<'_>, context: &mut Context) {
    if let Some(record) = step.record::<R>() {
        record.run(isa, at, context);
    }
}

/// Whether a record's shape is consistent and it asks for the optimiser's state that there is.
#[inline(always)]
fn is_sound_record<R: Encode>(step: Stored<'_>, slots: u32) -> bool {
    let Some(record) = step.record::<R>() else { return false };
    record.shape_is_valid() && record.optimizer_slots().is_none_or(|needed| needed == slots)
}

/// [`run_record`] for [`StepRecord::SMALL`] ones.
#[cfg_attr(target_os = "none", inline(never))]
#[cfg_attr(not(target_os = "none"), inline)]
fn run_small<R: Encode, I: Isa>(step: Stored<'_>, isa: I, at: &mut Slices<'_>, context: &mut Context) {
    run_record::<R, I>(step, isa, at, context);
}

/// The one table of step kinds. Numbers are part of the image format: append, never renumber.
macro_rules! steps {
    ($($kind:literal $name:ident($record:ty),)*) => {
        /// One step, borrowed from the image.
        #[derive(Clone, Copy, Debug)]
        pub enum Step<'a> {
            $(
                #[doc = concat!("Kind ", stringify!($kind), ".")]
                $name(&'a $record),
            )*
        }

        /// The kinds' numbers.
        #[allow(non_upper_case_globals, missing_docs)]
        pub mod kind {
            $(pub const $name: u16 = $kind;)*
        }

        $(
            impl Encode for $record {
                const KIND: u16 = $kind;
                const NAME: &'static str = stringify!($name);

                #[inline(always)]
                fn of(words: &[u32]) -> Option<&Self> {
                    let words: &[u32; size_of::<$record>() / 4] = words.try_into().ok()?;
                    Some(zerocopy::transmute_ref!(words))
                }
            }
        )*

        /// All kinds.
        const ALL: &[Kind] = &[$(Kind::of::<$record>(),)*];

        impl<'a> Step<'a> {
            /// The record of `kind`; `None` if the kind is unknown or the length is not that kind's.
            pub fn decode(kind: u16, words: &'a [u32]) -> Option<Self> {
                match kind {
                    $($kind if const { carries($kind) } => <$record>::of(words).map(Step::$name),)*
                    _ => None,
                }
            }

            /// Number of the kind.
            pub fn kind(&self) -> u16 {
                match self { $(Step::$name(_) => $kind,)* }
            }

            /// Name of the kind, for tables and logs.
            pub fn name(&self) -> &'static str {
                match self { $(Step::$name(_) => stringify!($name),)* }
            }

            /// See [`StepRecord::places`].
            fn places(&self, samples: usize) -> Operands {
                match self {
                    $(Step::$name(record) if const { carries($kind) } => record.places(samples),)*
                    _ => Operands::default(),
                }
            }

            /// The table of where the operands lie, for an image whose runs carry up to `samples` samples; `None` for
            /// operands larger than any image.
            pub fn table(&self, samples: usize) -> Option<NewTable> {
                NewTable::of(&self.places(1), &self.places(samples), samples)
            }

            /// See [`StepRecord::operands`].
            pub fn operands(&self, samples: usize) -> Operands {
                self.places(samples).present()
            }

            /// See [`StepRecord::shape_is_valid`].
            pub fn shape_is_valid(&self) -> bool {
                match self {
                    $(Step::$name(record) if const { carries($kind) } => record.shape_is_valid(),)*
                    _ => false,
                }
            }
        }

        impl Stored<'_> {
            /// See [`is_sound_record`].
            fn is_sound(self, slots: u32) -> bool {
                match self.kind() {
                    $($kind if const { carries($kind) } => is_sound_record::<$record>(self, slots),)*
                    _ => false,
                }
            }

            /// See [`StepRecord::places`]; of a sound record of the kind whose places these are.
            fn places(self, places: &[u8], samples: usize) -> Operands {
                match self.kind() {
                    $($kind if const { carries($kind) && <$record>::MORE.is_some() } => {
                        self.record::<$record>().map(|record| record.places(samples)).unwrap_or_default()
                    })*
                    _ => Operands::described(places, self.words(), samples),
                }
            }

            /// See [`StepRecord::run`]. From the kind to the kernel in one go: a running step is not decoded.
            #[inline]
            pub fn run<I: Isa>(self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
                match self.kind() {
                    $($kind if const { carries($kind) && <$record>::SMALL } => {
                        run_small::<$record, I>(self, isa, at, context);
                    })*
                    _ => self.run_others(isa, at, context),
                }
            }

            #[cfg_attr(target_os = "none", inline(never))]
            #[cfg_attr(not(target_os = "none"), inline)]
            fn run_others<I: Isa>(self, isa: I, at: &mut Slices<'_>, context: &mut Context) {
                match self.kind() {
                    $($kind if const { carries($kind) && !<$record>::SMALL } => {
                        run_record::<$record, I>(self, isa, at, context);
                    })*
                    // Never: no plan with such a step passes.
                    _ => {}
                }
            }
        }
    };
}

/// A record that has a number, and so can be written into an image.
pub trait Encode: StepRecord {
    /// Number in the image format.
    const KIND: u16;
    /// Name for tables.
    const NAME: &'static str;

    /// The record that consists of these words; `None` if there are more or fewer than it has.
    fn of(words: &[u32]) -> Option<&Self>;
}

/// The kinds that this program carries.
static KINDS: Kinds<{ kinds::count(ALL).0 }, { kinds::count(ALL).1 }> = Kinds::carried(ALL);

/// What their operands' places use.
const USED: place::Used = if cfg!(target_os = "none") { kinds::used(ALL) } else { place::Used::ALL };

steps! {
    // f32 forward
    1 DenseF32(dense::ForwardF32),
    2 Conv2dF32(conv2d::ForwardF32),
    3 DepthwiseConv2dF32(depthwise_conv2d::ForwardF32),
    4 MaxPoolF32(max_pool::ForwardF32),
    5 AveragePoolF32(average_pool::ForwardF32),
    6 ActivationF32(activation::ForwardF32),
    7 SoftmaxF32(softmax::ForwardF32),
    8 AddF32(add::ForwardF32),
    9 Copy(copy::Copy),
    10 StridedCopy(strided::StridedCopy),
    11 ResizeNearest(resize::ResizeNearest),
    12 BinaryF32(binary::ForwardF32),
    13 ReduceF32(reduce::ForwardF32),
    30 TransposeConv2dF32(transpose_conv2d::ForwardF32),
    31 MatMulF32(matmul::ForwardF32),
    32 LayerNormF32(layer_norm::ForwardF32),
    33 LstmF32(lstm::ForwardF32),
    34 GruF32(gru::ForwardF32),
    35 SvdfF32(svdf::ForwardF32),
    36 Conv2dWeightsI8(conv2d::ForwardWeightsI8),
    50 BatchNormMomentsF32(batch_norm::MomentsF32),
    51 BatchNormFactorsF32(batch_norm::FactorsF32),
    52 ScaleShiftF32(batch_norm::ScaleShiftF32),
    // int8 forward; those called integer take int16 as well
    64 DenseI8(dense::ForwardI8),
    65 Conv2dI8(conv2d::ForwardI8),
    66 DepthwiseConv2dI8(depthwise_conv2d::ForwardI8),
    67 MaxPoolI8(max_pool::ForwardI8),
    68 AveragePoolI8(average_pool::ForwardI8),
    69 LookupI8(lookup::LookupI8),
    70 SoftmaxI8(softmax::ForwardI8),
    71 AddI8(add::ForwardI8),
    72 QuantizeI8(quantize::QuantizeI8),
    73 DequantizeI8(quantize::DequantizeI8),
    74 MeanI8(reduce::MeanI8),
    75 BinaryInteger(binary::ForwardInteger),
    76 ReduceInteger(reduce::ForwardInteger),
    77 LogSoftmaxI8(softmax::ForwardLogI8),
    86 Conv2dI4(conv2d::ForwardI4),
    87 DepthwiseConv2dI4(depthwise_conv2d::ForwardI4),
    88 TransposeConv2dInt(transpose_conv2d::ForwardInt),
    89 MatMulInt(matmul::ForwardInt),
    90 SvdfInt(svdf::ForwardInt),
    91 LstmInt(lstm::ForwardInt),
    // int16 forward, int8 weights
    96 DenseI16(dense::ForwardI16),
    97 Conv2dI16(conv2d::ForwardI16),
    98 DepthwiseConv2dI16(depthwise_conv2d::ForwardI16),
    99 MaxPoolI16(max_pool::ForwardI16),
    100 AveragePoolI16(average_pool::ForwardI16),
    101 SoftmaxI16(softmax::ForwardI16),
    102 AddI16(add::ForwardI16),
    103 QuantizeI16(quantize::QuantizeI16),
    104 DequantizeI16(quantize::DequantizeI16),
    105 ActivationI16(activation::ForwardI16),
    106 LinesI16(activation::LinesI16),
    110 RequantizeInt(quantize::RequantizeInt),
    111 NormaliseI8(normalise::NormaliseI8),
    // losses
    128 MeanSquaredError(loss::MeanSquaredError),
    129 SoftmaxCrossEntropy(loss::SoftmaxCrossEntropy),
    // f32 backward
    192 DenseBackwardInputF32(dense::BackwardInputF32),
    193 DenseBackwardWeightsF32(dense::BackwardWeightsF32),
    194 Conv2dBackwardInputF32(conv2d::BackwardInputF32),
    195 Conv2dBackwardWeightsF32(conv2d::BackwardWeightsF32),
    196 DepthwiseConv2dBackwardInputF32(depthwise_conv2d::BackwardInputF32),
    197 DepthwiseConv2dBackwardWeightsF32(depthwise_conv2d::BackwardWeightsF32),
    198 MaxPoolBackwardF32(max_pool::BackwardF32),
    199 AveragePoolBackwardF32(average_pool::BackwardF32),
    200 ActivationBackwardF32(activation::BackwardF32),
    201 SoftmaxBackwardF32(softmax::BackwardF32),
    202 AccumulateF32(add::AccumulateF32),
    235 BatchNormGradientsF32(batch_norm::GradientsF32),
    236 BatchNormBackwardInputF32(batch_norm::BackwardInputF32),
    237 UpdateF32(update::UpdateF32),
    240 PReluBackwardF32(prelu::BackwardF32),
    241 LayerNormBackwardF32(layer_norm::BackwardF32),
    242 LstmBackwardF32(lstm::BackwardF32),
    243 GruBackwardF32(gru::BackwardF32),
    248 QuantizeBlocks(quantize::QuantizeBlocks),
    249 DequantizeBlocks(quantize::DequantizeBlocks),
    // int8 layers that learn; gradients are f32
    256 FoldBias(trained_int8::FoldBias),
    257 Conv2dBackwardInputI8(conv2d::BackwardInputI8),
    258 Conv2dBackwardWeightsI8(conv2d::BackwardWeightsI8),
    259 DepthwiseConv2dBackwardInputI8(depthwise_conv2d::BackwardInputI8),
    260 DepthwiseConv2dBackwardWeightsI8(depthwise_conv2d::BackwardWeightsI8),
    261 LimitsBackwardI8(activation::LimitsBackwardI8),
    262 LookupBackwardI8(lookup::LookupBackwardI8),
    263 MaxPoolBackwardI8(max_pool::BackwardI8),
    // 16-bit fixed point, forward
    300 FixedFromF32(fixed::convert::FromF32),
    301 FixedToF32(fixed::convert::ToF32),
    302 DenseFixed(fixed::dense::Forward),
    303 SoftmaxFixed(fixed::softmax::Softmax),
    304 LeakyReluFixed(fixed::activation::LeakyRelu),
    305 AddFixed(fixed::add::Add),
    306 MoveFixed(fixed::movement::Move),
    // the same, losses and backward
    316 SoftmaxCrossEntropyFixed(fixed::loss::SoftmaxCrossEntropy),
    317 MeanSquaredErrorFixed(fixed::loss::MeanSquaredError),
    320 DenseBackwardInputFixed(fixed::dense::BackwardInput),
    321 DenseBackwardWeightsFixed(fixed::dense::BackwardWeights),
    322 ClampBackwardFixed(fixed::activation::BackwardClamp),
    323 LeakyReluBackwardFixed(fixed::activation::BackwardLeakyRelu),
    324 Conv2dFixed(fixed::conv2d::Forward),
    325 Conv2dBackwardInputFixed(fixed::conv2d::BackwardInput),
    326 Conv2dBackwardWeightsFixed(fixed::conv2d::BackwardWeights),
    327 DepthwiseConv2dFixed(fixed::depthwise_conv2d::Forward),
    328 DepthwiseConv2dBackwardInputFixed(fixed::depthwise_conv2d::BackwardInput),
    329 DepthwiseConv2dBackwardWeightsFixed(fixed::depthwise_conv2d::BackwardWeights),
    330 MaxPoolFixed(fixed::pool::Max),
    331 MaxPoolBackwardFixed(fixed::pool::BackwardMax),
    332 AveragePoolFixed(fixed::pool::Average),
    333 AveragePoolBackwardFixed(fixed::pool::BackwardAverage),
    // f32, for hosts only
    512 ConvBlockF32(conv2d::BlockF32),
    513 ConvBlockBackwardF32(conv2d::BlockBackwardF32),
    514 DenseAcrossF32(dense::AcrossF32),
}
