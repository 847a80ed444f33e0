//! Sum, mean and maximum over axes.

use super::super::{BufferId, Emit, LowerError, unsupported, word};
use super::Site;
use super::boxes::natural_strides;
use crate::graph::ops::{Reduce, Reduction};
use crate::graph::{DType, Node};
use crate::quant::fixed_point::{Multiplier, activation_range, mean_multiplier};
use embernet_core::kernels::reduce::{AXES, Axis, ForwardF32, ForwardInteger, Kind, Scaling, Shape};

impl Emit<'_, '_> {
    pub(super) fn reduce(&mut self, site: Site<'_>, op: &Reduce) -> Result<(), LowerError> {
        let kind = match op.reduction {
            Reduction::Sum => Kind::Sum,
            Reduction::Mean => Kind::Mean,
            Reduction::Max => Kind::Max,
        };
        self.reduce_axes(site, kind, &op.axes)
    }

    pub(super) fn reduce_axes(&mut self, site: Site<'_>, kind: Kind, axes: &[usize]) -> Result<(), LowerError> {
        let Site { id, node, dtype } = site;
        let input = self.tensor(node.inputs[0]).shape.clone();
        match dtype {
            DType::F32 => {
                let x = self.value(node.inputs[0]);
                let y = self.output(node);
                self.reduce_step(site, kind, (x, &input), axes, y)
            }
            DType::I8 | DType::I16 => {
                let shape = reduced(node, &input, axes)?;
                let scaling = self.reduce_scaling(node, kind, shape.count())?;
                let x = self.value(node.inputs[0]);
                let y = self.output(node);
                let size = word(dtype.bytes());
                self.sequence.push(&node.name, Some(id), move |p| ForwardInteger {
                    kind: kind as u32,
                    size,
                    shape,
                    x: p.at(x),
                    y: p.at(y),
                    scaling,
                });
                Ok(())
            }
            _ => Err(self.no_kernel(site)),
        }
    }

    /// The f32 step.
    pub(in super::super) fn reduce_step(
        &mut self,
        site: Site<'_>,
        kind: Kind,
        (x, input): (BufferId, &[usize]),
        axes: &[usize],
        y: BufferId,
    ) -> Result<(), LowerError> {
        let shape = reduced(site.node, input, axes)?;
        self.sequence.push(&site.node.name, Some(site.id), move |p| ForwardF32 {
            kind: kind as u32,
            shape,
            x: p.at(x),
            y: p.at(y),
        });
        Ok(())
    }

    fn reduce_scaling(&self, node: &Node, kind: Kind, count: usize) -> Result<Scaling, LowerError> {
        let (from, to) = self.affines(node)?;
        let multiplier = match kind {
            Kind::Mean => mean_multiplier(from.scale(), count, to.scale()),
            Kind::Sum => Multiplier::new("sum", f64::from(from.scale()) / f64::from(to.scale())),
            Kind::Max => {
                self.expect_scale(node, to, from)?;
                Multiplier::new("maximum", 1.0)
            }
        };
        let Multiplier { mantissa, shift } = self.fixed(node, multiplier)?;
        let (lo, hi) = self.fixed(node, activation_range(node.op.fused(), to))?;
        Ok(Scaling {
            in_zero_point: from.zero_point(),
            multiplier: mantissa,
            shift,
            zero_point: to.zero_point(),
            lo,
            hi,
        })
    }
}

/// The record's shape: neighbours of a kind are one axis.
fn reduced(node: &Node, input: &[usize], axes: &[usize]) -> Result<Shape, LowerError> {
    let strides = natural_strides(input);
    let (mut lists, mut last) = ([Vec::<Axis>::new(), Vec::new()], None);
    for (i, &dim) in input.iter().enumerate().filter(|(_, dim)| **dim > 1) {
        let folded = usize::from(axes.contains(&i));
        let stride = word(strides[i] as usize);
        match lists[folded].last_mut() {
            Some(outer) if last == Some(folded) => {
                *outer = Axis { extent: word(outer.extent as usize * dim), stride };
            }
            _ => lists[folded].push(Axis { extent: word(dim), stride }),
        }
        last = Some(folded);
    }
    let padded = |list: &[Axis]| {
        let free = AXES.checked_sub(list.len())?;
        let mut all = [Axis::NONE; AXES];
        all[free..].copy_from_slice(list);
        Some(all)
    };
    match (padded(&lists[0]), padded(&lists[1])) {
        (Some(kept), Some(folded)) => Ok(Shape { kept, folded }),
        _ => Err(unsupported(node, format!("more than {AXES} groups of axes in turn"))),
    }
}
