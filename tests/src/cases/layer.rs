//! The quantised parameters of a layer with weights, as model files have them.

use super::int4::packed;
use super::naive::{Sum, rescale};
use super::{At, Steps, between};
use embernet::quant::fixed_point::{fold_bias, fold_bias_depthwise};
use embernet_core::arch::IsaId;
use embernet_core::arch::layout::packing::{Layer, Packed};
use embernet_core::kernels::order::OrderRecord;
use embernet_core::kernels::requantize::RequantizeRecord;
use embernet_core::plan::{Encode, Ref};
use embernet_core::rng::Rng;
use zerocopy::{Immutable, IntoBytes};

/// Weights and what turns sums into int8; nothing folded.
#[derive(Debug, Clone, PartialEq)]
pub struct Int8Layer {
    pub w: Vec<i8>,
    /// Empty if the layer has none.
    pub b: Vec<i32>,
    pub input_zero_point: i32,
    /// One for each output, or one for all.
    pub multiplier: Vec<i32>,
    /// As many.
    pub shift: Vec<i32>,
    pub zero_point: i32,
    pub lo: i32,
    pub hi: i32,
}

impl Int8Layer {
    /// A layer whose sums of `terms` products fill the range of int8.
    pub fn random(rng: &mut Rng, outputs: u32, weights: usize, terms: usize) -> Self {
        let channels = if rng.below(3) == 0 { 1 } else { outputs };
        // Products have about 14 bits, their sum half the bits of the number of terms more.
        let sum_bits = 14 + terms.ilog2() as i32 / 2;
        Self {
            w: (0..weights).map(|_| between(rng, -127, 127) as i8).collect(),
            b: (0..outputs).map(|_| between(rng, -20_000, 20_000)).collect(),
            input_zero_point: between(rng, -128, 127),
            multiplier: (0..channels).map(|_| between(rng, 1 << 30, i32::MAX)).collect(),
            shift: (0..channels).map(|_| 7 - sum_bits - between(rng, 0, 2)).collect(),
            zero_point: between(rng, -60, 60),
            lo: between(rng, -128, -100),
            hi: between(rng, 100, 127),
        }
    }

    /// Inputs with their zero point subtracted.
    pub fn centred(&self, x: &[i8]) -> Vec<f64> {
        x.iter().map(|&x| f64::from(i32::from(x) - self.input_zero_point)).collect()
    }

    /// The outputs for these sums, which run along the `outputs` outputs.
    pub fn requantized(&self, sums: &[Sum], outputs: u32) -> Vec<i8> {
        let one = |(i, sum): (usize, &Sum)| {
            let channel = if self.multiplier.len() == 1 { 0 } else { i % outputs as usize };
            let y = rescale(sum.value as i64, self.multiplier[channel], self.shift[channel]);
            (y + i64::from(self.zero_point)).clamp(self.lo.into(), self.hi.into()) as i8
        };
        sums.iter().enumerate().map(one).collect()
    }

    /// With weights of four bits.
    #[must_use]
    pub fn narrowed(mut self) -> Self {
        self.w.iter_mut().for_each(|w| *w >>= 4);
        self
    }

    /// Writes the step with folded biases, its weights in the order of the step's token if `pack` gives one.
    /// `[...][outputs]` weights are depthwise ones.
    pub fn step<R: Encode>(
        &self,
        step: &mut Steps,
        outputs: u32,
        depthwise: bool,
        scratch_bytes: usize,
        pack: impl FnOnce(IsaId, &Layer<'_>) -> Option<Packed>,
        make: impl Fn(Operands) -> R + 'static,
    ) {
        let folded = self.folded(outputs, depthwise);
        let each = |table: &[i32]| if table.len() == 1 { table.repeat(outputs as usize) } else { table.to_vec() };
        let bias = if folded.is_empty() { vec![0; outputs as usize] } else { folded.clone() };
        let (multiplier, shift) = (each(&self.multiplier), each(&self.shift));
        let zero_point = self.zero_point;
        let layer =
            Layer { weights: &self.w, bias: &bias, multiplier: &multiplier, shift: &shift, zero_point, lo: self.lo };
        let isa = step.isa();
        let Some(packed) = pack(isa, &layer) else {
            return self.write(step, &self.w, &folded, scratch_bytes, make);
        };
        let order = OrderRecord::of(isa, packed.stream.len() as u32);
        let plain = Self { multiplier: Vec::new(), shift: Vec::new(), ..self.clone() };
        let make = move |o: Operands| {
            let requantize = RequantizeRecord { channels: outputs, ..o.requantize };
            make(Operands { order, requantize, ..o })
        };
        plain.write(step, &packed.stream, &Vec::new(), packed.scratch_bytes(), make);
    }

    /// [`Int8Layer::step`] with the weights as int4.
    pub fn packed_step<R: Encode>(
        &self,
        step: &mut Steps,
        outputs: u32,
        depthwise: bool,
        scratch_bytes: usize,
        make: impl Fn(Operands) -> R + 'static,
    ) {
        self.write(step, &packed(&self.w), &self.folded(outputs, depthwise), scratch_bytes, make);
    }

    /// Writes the step with the biases as they are.
    pub fn unfolded_step<R: Encode>(&self, step: &mut Steps, make: impl Fn(Operands) -> R + 'static) {
        self.write(step, &self.w, &self.b, 0, make);
    }

    fn folded(&self, outputs: u32, depthwise: bool) -> Vec<i32> {
        if self.b.is_empty() && self.input_zero_point == 0 {
            return Vec::new();
        }
        let fold = if depthwise { fold_bias_depthwise } else { fold_bias };
        fold(&self.b, &self.w, outputs as usize, self.input_zero_point)
    }

    fn write<R: Encode, W: IntoBytes + Immutable>(
        &self,
        step: &mut Steps,
        w: &Vec<W>,
        b: &Vec<i32>,
        scratch_bytes: usize,
        make: impl Fn(Operands) -> R + 'static,
    ) {
        let (zero_point, lo, hi, pad_value) = (self.zero_point, self.lo, self.hi, self.input_zero_point);
        let channels = self.multiplier.len() as u32;
        step.step(&[w, b, &self.multiplier, &self.shift], scratch_bytes, move |at: At<'_>| {
            let &[w, b, multiplier, shift] = at.constants else { unreachable!("four constants were given") };
            let requantize = RequantizeRecord { multiplier, shift, channels, zero_point, lo, hi, sum_bits: 32 };
            let (y, scratch, scratch_bytes) = (at.y, at.scratch, scratch_bytes as u32);
            let order = OrderRecord::PLAIN;
            make(Operands { x: at.x[0], w, b, y, scratch, scratch_bytes, pad_value, requantize, order })
        });
    }
}

/// The operands of an int8 step with weights.
#[derive(Debug, Clone, Copy)]
pub struct Operands {
    pub x: Ref,
    pub w: Ref,
    pub b: Ref,
    pub y: Ref,
    pub scratch: Ref,
    pub scratch_bytes: u32,
    pub pad_value: i32,
    pub requantize: RequantizeRecord,
    pub order: OrderRecord,
}
