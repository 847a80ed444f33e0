//! The layers that random networks are made of; each takes an image and gives an image.

use super::Builder;
use crate::graph::ops::*;
use crate::graph::{Activation, DType, Data, Op, Quant, Tensor, TensorId};

/// Images stay smaller than this.
const MOST_ELEMENTS: usize = 400;

impl Builder<'_> {
    /// Any layer on `x`; sums and the like may go back to what was `seen` before.
    pub(super) fn layer(&mut self, number: usize, x: TensorId, seen: &[TensorId]) -> TensorId {
        match self.below(16) {
            0 | 1 => self.conv(number, x),
            2 | 3 => {
                let side = self.side(x);
                let op = DepthwiseConv2d::new([side, side]).padding(self.padding()).activation(self.activation());
                self.node(number, op, &[x], false)
            }
            4 => {
                let side = self.side(x);
                let (padding, activation) = (self.padding(), self.activation());
                let op = TransposeConv2d::new(1 + self.below(3), [side, side]);
                self.node(number, TransposeConv2d { padding, activation, ..op }, &[x], false)
            }
            5 | 6 => self.pool(number, x),
            7 | 8 => self.function(number, x),
            9 => {
                let shape = self.shape(x).to_vec();
                let flat = self.node(100 + number, Flatten {}, &[x], true);
                self.node(number, Reshape::new(shape), &[flat], true)
            }
            10 if self.dtype == DType::I8 => self.there_and_back(number, x),
            10 | 11 => self.movement(number, x),
            12 => self.with_constant(number, x),
            13 => self.product(number, x),
            _ => self.with_earlier(number, x, seen),
        }
    }

    fn conv(&mut self, number: usize, x: TensorId) -> TensorId {
        let side = self.side(x);
        let op = Conv2d::new(1 + self.below(5), [side, side]).padding(self.padding()).activation(self.activation());
        self.node(number, op, &[x], false)
    }

    /// A kernel's side that fits the image.
    fn side(&mut self, x: TensorId) -> usize {
        let [h, w, _] = self.shape(x);
        1 + self.below(3.min(h.min(w) as u32))
    }

    fn pool(&mut self, number: usize, x: TensorId) -> TensorId {
        let [h, w, _] = self.shape(x);
        let (size, padding) = ([1 + h / 4, 1 + w / 4], self.padding());
        match self.below(4) {
            0 => self.node(number, AveragePool2d::new(size).padding(padding), &[x], true),
            1 => {
                let reduction = [Reduction::Max, Reduction::Mean, Reduction::Sum][self.below(3)];
                let op = Reduce { reduction, axes: vec![self.below(2)], keepdims: true };
                self.node(number, op, &[x], reduction == Reduction::Max)
            }
            2 => {
                let dilation = Some([1 + self.below(2), 1 + self.below(2)]).filter(|d| d[0] <= h && d[1] <= w);
                let op = MaxPool2d { dilation, padding: Padding::Same, ..MaxPool2d::new([2, 2]) };
                self.node(number, op, &[x], true)
            }
            _ => self.node(number, MaxPool2d::new(size).padding(padding), &[x], true),
        }
    }

    fn function(&mut self, number: usize, x: TensorId) -> TensorId {
        let fixed = |scale: f32, zero_point| Some(Quant::per_tensor(scale, zero_point));
        let (op, quant): (Op, _) = match self.below(12) {
            0 => (Activation::Sigmoid.into(), fixed(1.0 / 256.0, -128)),
            1 => (Activation::Tanh.into(), fixed(1.0 / 128.0, 0)),
            2 => (Softmax::default().into(), fixed(1.0 / 256.0, -128)),
            3 => (LogSoftmax {}.into(), fixed(16.0 / 256.0, 127)),
            4 => (Activation::HardSwish.into(), self.quant()),
            5 => (Activation::LeakyRelu { alpha: 0.2 }.into(), self.quant()),
            6 => (Activation::Abs.into(), self.quant()),
            _ => {
                let keep = self.below(2) == 0;
                let function = [Activation::Relu, Activation::Relu6, Activation::ReluN1To1][self.below(3)];
                return self.node(number, function, &[x], keep);
            }
        };
        let quant = quant.filter(|_| self.dtype == DType::I8);
        self.node_of(number, op, &[x], quant)
    }

    /// To reals and back.
    fn there_and_back(&mut self, number: usize, x: TensorId) -> TensorId {
        let (shape, quant) = (self.shape(x), self.graph.tensor(x).quant.clone());
        let real = self.graph.add_tensor(Tensor::activation(format!("real{number}"), shape, DType::F32));
        self.graph.add_node(format!("dequantize{number}"), Dequantize {}, &[x], &[real]);
        let quant = if self.below(2) == 0 { quant } else { self.quant() };
        let y = self.tensor(&format!("y{number}"), &shape, quant);
        self.graph.add_node(format!("quantize{number}"), Quantize {}, &[real], &[y]);
        y
    }

    fn movement(&mut self, number: usize, x: TensorId) -> TensorId {
        let [h, w, c] = self.shape(x);
        let small = h * w * c * 2 <= MOST_ELEMENTS;
        let op: Op = match self.below(5) {
            0 if small => {
                let mut ends = || [self.below(2), self.below(2), self.below(2)].to_vec();
                Pad { before: ends(), after: ends(), value: [0.0, 0.25][self.below(2)] }.into()
            }
            1 if small => {
                let op = Concat { axis: self.below(3) };
                return self.node(number, op, &[x, x], true);
            }
            2 => {
                let begin = [h, w, c].map(|size| self.below(size as u32)).to_vec();
                let size = [h, w, c].iter().zip(&begin).map(|(size, begin)| size - begin).collect();
                Slice { begin, size, stride: vec![1; 3] }.into()
            }
            3 => {
                let mut table = |size: usize| (0..size).map(|_| self.rng.below(size as u32)).collect();
                ResizeNearest { rows: table(h), cols: table(w) }.into()
            }
            _ => {
                let perms = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
                Transpose { perm: perms[self.below(6)].to_vec() }.into()
            }
        };
        self.node(number, op, &[x], true)
    }

    /// A constant for each channel added, subtracted or multiplied, or slopes of its negative side.
    fn with_constant(&mut self, number: usize, x: TensorId) -> TensorId {
        let channels = self.shape(x)[2];
        if self.below(4) == 0 {
            return self.node(number, PRelu {}, &[x], false);
        }
        let values: Vec<f32> = (0..channels).map(|_| self.rng.uniform_f32(0.5, 1.5)).collect();
        let constant = match self.dtype {
            DType::F32 => Tensor::constant(format!("constant{number}"), [channels], Data::F32(values)),
            _ => {
                let data = Data::I8(values.iter().map(|v| (v * 80.0) as i8).collect());
                let tensor = Tensor::constant(format!("constant{number}"), [channels], data);
                tensor.with_quant(Quant::per_tensor(1.0 / 80.0, 0))
            }
        };
        let constant = self.graph.add_tensor(constant);
        let activation = self.activation();
        let op: Op = match self.below(3) {
            0 => Add { activation }.into(),
            1 => Sub { activation }.into(),
            _ => Mul { activation }.into(),
        };
        self.node(number, op, &[x, constant], false)
    }

    /// A product with a value between -1 and 1, so that chains of them stay finite.
    fn product(&mut self, number: usize, x: TensorId) -> TensorId {
        let quant = Some(Quant::per_tensor(1.0 / 128.0, 0)).filter(|_| self.dtype == DType::I8);
        let bounded = self.node_of(200 + number, Activation::Tanh.into(), &[x], quant);
        let [h, w, _] = self.shape(x);
        if h * w * w <= MOST_ELEMENTS && self.below(2) == 0 {
            let op = MatMul { transpose_b: true, activation: self.activation(), ..MatMul::default() };
            return self.node(number, op, &[bounded, bounded], false);
        }
        let op = Mul { activation: self.activation() };
        self.node(number, op, &[x, bounded], false)
    }

    /// A sum, a difference or an extremum with an earlier value, or with itself.
    fn with_earlier(&mut self, number: usize, x: TensorId, seen: &[TensorId]) -> TensorId {
        let shape = self.shape(x);
        let equal = seen.iter().copied().filter(|t| self.graph.tensor(*t).shape == shape);
        let equal: Vec<TensorId> = equal.collect();
        let other = equal[self.below(equal.len() as u32)];
        let activation = self.activation();
        let same = self.graph.tensor(x).quant == self.graph.tensor(other).quant;
        match self.below(5) {
            0 => self.node(number, Sub { activation }, &[x, other], false),
            1 if same => self.node(number, Maximum { activation }, &[x, other], true),
            2 if same => self.node(number, Minimum { activation }, &[other, x], true),
            _ => self.node(number, Add { activation }, &[x, other], false),
        }
    }
}
