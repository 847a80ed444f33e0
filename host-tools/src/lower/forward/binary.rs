//! Functions of two inputs that broadcast.

use super::super::{BufferId, Emit, LowerError, unsupported, word};
use super::boxes::natural_strides;
use super::{Site, bounds};
use crate::graph::{Activation, DType, Op, TensorId};
use crate::quant::fixed_point::{activation_range, add_sum, prelu, product, quotient};
use embernet_core::kernels::add::Sum;
use embernet_core::kernels::binary::{AXES, Broadcast, ForwardF32, ForwardInteger, Kind, Side};
use embernet_core::plan::Ref;

/// One input of a function of two.
#[derive(Debug, Clone)]
pub(in super::super) struct Operand {
    pub at: BufferId,
    pub shape: Vec<usize>,
    /// Whether it is the same for all samples.
    pub repeats: bool,
}

/// The kernel's function for an operation, if it is one of two inputs.
pub(in super::super) fn binary_kind(op: &Op) -> Option<Kind> {
    match op {
        Op::Add(_) => Some(Kind::Add),
        Op::Sub(_) => Some(Kind::Sub),
        Op::Mul(_) => Some(Kind::Mul),
        Op::Div(_) => Some(Kind::Div),
        Op::Minimum(_) => Some(Kind::Min),
        Op::Maximum(_) => Some(Kind::Max),
        _ => None,
    }
}

impl Emit<'_, '_> {
    pub(super) fn binary(&mut self, site: Site<'_>, kind: Kind, activation: Activation) -> Result<(), LowerError> {
        let node = site.node;
        let [a, b] = [0, 1].map(|i| self.operand(node.inputs[i]));
        // Residual sums have a step of their own.
        if kind == Kind::Add && a.shape == b.shape && !a.repeats && !b.repeats {
            return self.add(site, activation);
        }
        let y = self.output(node);
        let shape = self.tensor(node.outputs[0]).shape.clone();
        match site.dtype {
            DType::F32 => self.binary_step(site, kind, [a, b], (y, &shape), bounds(activation)),
            DType::I8 | DType::I16 => self.integer_step(site, kind, [a, b], (y, &shape), activation),
            _ => Err(self.no_kernel(site)),
        }
    }

    /// The int8 or int16 step.
    fn integer_step(
        &mut self,
        site: Site<'_>,
        kind: Kind,
        operands: [Operand; 2],
        y: (BufferId, &[usize]),
        activation: Activation,
    ) -> Result<(), LowerError> {
        let numbers = self.integer_numbers(site, kind, activation)?;
        let (places, shape) = self.broadcast(site, kind, operands, y)?;
        let size = word(site.dtype.bytes());
        self.sequence.push_in_place(&site.node.name, Some(site.id), &places, move |p| ForwardInteger {
            kind: kind as u32,
            size,
            shape: shape(p),
            numbers,
        });
        Ok(())
    }

    /// `y = x` where that is positive and `slope * x` elsewhere.
    pub(super) fn prelu(&mut self, site: Site<'_>) -> Result<(), LowerError> {
        let node = site.node;
        self.expect_type(node, node.inputs[1], site.dtype)?;
        let operands = [0, 1].map(|i| self.operand(node.inputs[i]));
        let y = self.output(node);
        let shape = self.tensor(node.outputs[0]).shape.clone();
        match site.dtype {
            DType::F32 => self.binary_step(site, Kind::PRelu, operands, (y, &shape), bounds(Activation::Linear)),
            DType::I8 => self.integer_step(site, Kind::PRelu, operands, (y, &shape), Activation::Linear),
            _ => Err(self.no_kernel(site)),
        }
    }

    /// A tensor as an input of such a function.
    pub(in super::super) fn operand(&mut self, id: TensorId) -> Operand {
        let tensor = self.tensor(id);
        let (shape, repeats) = (tensor.shape.clone(), tensor.data.is_some());
        Operand { at: self.value(id), shape, repeats }
    }

    /// The f32 step.
    pub(in super::super) fn binary_step(
        &mut self,
        site: Site<'_>,
        kind: Kind,
        operands: [Operand; 2],
        y: (BufferId, &[usize]),
        (lo, hi): (f32, f32),
    ) -> Result<(), LowerError> {
        let (places, shape) = self.broadcast(site, kind, operands, y)?;
        self.sequence.push_in_place(&site.node.name, Some(site.id), &places, move |p| ForwardF32 {
            kind: kind as u32,
            shape: shape(p),
            lo,
            hi,
        });
        Ok(())
    }

    /// Which inputs the output may replace, and the record's shape from places.
    #[allow(clippy::type_complexity)]
    fn broadcast(
        &self,
        site: Site<'_>,
        kind: Kind,
        [a, b]: [Operand; 2],
        (y, shape): (BufferId, &[usize]),
    ) -> Result<
        (Vec<(BufferId, BufferId)>, impl Fn(super::super::program::Places<'_>) -> Broadcast + 'static),
        LowerError,
    > {
        let whole = |operand: &Operand| operand.shape == shape && !operand.repeats && a.at != b.at;
        let mut places = Vec::new();
        if whole(&a) {
            places.push((a.at, y));
        }
        if kind.commutes() && whole(&b) {
            places.push((b.at, y));
        }
        let Some((extents, strides)) = merged(shape, [&a.shape, &b.shape]) else {
            return Err(unsupported(site.node, format!("more than {AXES} axes that broadcast in turn")));
        };
        let side = |operand: &Operand, strides| Side {
            at: Ref::NONE,
            elements: word(operand.shape.iter().product()),
            repeats: u32::from(operand.repeats),
            strides,
        };
        let sides = [side(&a, strides[0]), side(&b, strides[1])];
        let (at_a, at_b) = (a.at, b.at);
        Ok((places, move |p: super::super::program::Places<'_>| Broadcast {
            extents,
            a: Side { at: p.at(at_a), ..sides[0] },
            b: Side { at: p.at(at_b), ..sides[1] },
            y: p.at(y),
        }))
    }

    fn integer_numbers(&self, site: Site<'_>, kind: Kind, activation: Activation) -> Result<Sum, LowerError> {
        let node = site.node;
        let (a, y) = self.affines(node)?;
        let b = self.affine(node, node.inputs[1])?;
        match kind {
            Kind::Add | Kind::Sub => self.fixed(node, add_sum(a, b, y, activation)),
            Kind::Mul => self.fixed(node, product(a, b, y, activation)),
            Kind::Min | Kind::Max => {
                self.expect_scale(node, y, a)?;
                self.expect_scale(node, y, b)?;
                let (lo, hi) = self.fixed(node, activation_range(activation, y))?;
                Ok(Sum { lo, hi, ..self.fixed(node, product(a, b, y, activation))? })
            }
            Kind::Div if site.dtype == DType::I8 => self.fixed(node, quotient(a, b, y, activation)),
            Kind::PRelu if site.dtype == DType::I8 => self.fixed(node, prelu(a, b, y)),
            Kind::Div | Kind::PRelu => Err(self.no_kernel(site)),
        }
    }
}

/// Extents of the output and strides of two inputs that broadcast to it, in as few axes as possible.
fn merged(shape: &[usize], inputs: [&[usize]; 2]) -> Option<([u32; AXES], [[u32; AXES]; 2])> {
    let strides = inputs.map(|input| {
        let mut strides = natural_strides(input);
        strides.iter_mut().zip(input).for_each(|(stride, dim)| *stride *= isize::from(*dim > 1));
        [vec![0; shape.len().saturating_sub(input.len())], strides].concat()
    });
    let mut axes: Vec<(usize, [isize; 2])> = Vec::new();
    for (i, &extent) in shape.iter().enumerate().filter(|(_, extent)| **extent > 1) {
        let here = [strides[0][i], strides[1][i]];
        match axes.last_mut() {
            Some((outer, steps)) if *steps == here.map(|stride| stride * extent as isize) => {
                (*outer, *steps) = (*outer * extent, here);
            }
            _ => axes.push((extent, here)),
        }
    }
    let free = AXES.checked_sub(axes.len())?;
    let (mut extents, mut sides) = ([1; AXES], [[0; AXES]; 2]);
    for (i, (extent, steps)) in (free..).zip(axes) {
        extents[i] = word(extent);
        for (side, step) in sides.iter_mut().zip(steps) {
            side[i] = u32::try_from(step).ok()?;
        }
    }
    Some((extents, sides))
}
