//! Batch normalisation: with the batch's statistics where it learns, else with the kept ones.

use super::super::{BufferId, Emit, LowerError, unsupported, word};
use super::{Site, bounds};
use crate::graph::ops::BatchNorm;
use crate::graph::{Activation, DType, Data, Node};
use embernet_core::kernels::batch_norm::{Channels, FactorsF32, MomentsF32, ScaleShiftF32};

impl Emit<'_, '_> {
    pub(super) fn batch_norm(&mut self, site: Site<'_>, op: &BatchNorm) -> Result<(), LowerError> {
        let Site { node, dtype, .. } = site;
        if dtype != DType::F32 {
            return Err(self.no_kernel(site));
        }
        let factors = if self.batch_norm_learns(node) {
            self.batch_moments(site, op)
        } else if node.parameters().iter().any(|t| self.tensor(*t).trainable) {
            self.kept_factors(site, op)
        } else {
            self.constant_factors(node, op, true)?
        };
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        self.scale_shift(site, op.activation, factors, (x, y));
        Ok(())
    }

    /// Whether this plan trains the layer: its statistics are then the batch's.
    pub(in super::super) fn batch_norm_learns(&self, node: &Node) -> bool {
        let statistics = &node.parameters()[2..];
        self.training && statistics.iter().all(|t| self.tensor(*t).trainable)
    }

    /// The layer's shape as the kernel wants it.
    pub(in super::super) fn channels(&self, node: &Node) -> Channels {
        let shape = &self.tensor(node.inputs[0]).shape;
        let (channels, positions) = shape.split_last().map_or((0, 1), |(last, rest)| (*last, rest.iter().product()));
        Channels { positions: word(positions), channels: word(channels) }
    }

    /// `y = activation(x scale + shift)`.
    pub(in super::super) fn scale_shift(
        &mut self,
        site: Site<'_>,
        activation: Activation,
        factors: BufferId,
        (x, y): (BufferId, BufferId),
    ) {
        let shape = self.channels(site.node);
        let (lo, hi) = bounds(activation);
        self.sequence.push_in_place(&site.node.name, Some(site.id), &[(x, y)], move |p| ScaleShiftF32 {
            shape,
            x: p.at(x),
            factors: p.at(factors),
            y: p.at(y),
            lo,
            hi,
        });
    }

    /// Statistics of the batch: moves the kept ones, and stays for the backward steps.
    fn batch_moments(&mut self, site: Site<'_>, op: &BatchNorm) -> BufferId {
        let node = site.node;
        let (shape, epsilon, momentum) = (self.channels(node), op.epsilon, op.momentum);
        let x = self.value(node.inputs[0]);
        let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|i| self.value(node.parameters()[i]));
        let [moments, factors] = ["moments", "factors"].map(|what| self.scratch_of(node, what));
        self.moments.insert(site.id, moments);
        self.sequence.push(&node.name, Some(site.id), move |p| MomentsF32 {
            shape,
            epsilon,
            momentum,
            x: p.at(x),
            gamma: p.at(gamma),
            beta: p.at(beta),
            mean: p.at(mean),
            variance: p.at(variance),
            moments: p.at(moments),
            factors: p.at(factors),
        });
        factors
    }

    /// Scale and shift of kept statistics that training may have changed.
    fn kept_factors(&mut self, site: Site<'_>, op: &BatchNorm) -> BufferId {
        let node = site.node;
        let (channels, epsilon) = (self.channels(node).channels, op.epsilon);
        let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|i| self.value(node.parameters()[i]));
        let factors = self.scratch_of(node, "factors");
        self.sequence.push(&node.name, Some(site.id), move |p| FactorsF32 {
            channels,
            epsilon,
            gamma: p.at(gamma),
            beta: p.at(beta),
            mean: p.at(mean),
            variance: p.at(variance),
            factors: p.at(factors),
        });
        factors
    }

    /// Scale and shift of what nothing changes, computed here. Without `shift`: what a gradient is multiplied by.
    pub(in super::super) fn constant_factors(
        &mut self,
        node: &Node,
        op: &BatchNorm,
        shift: bool,
    ) -> Result<BufferId, LowerError> {
        let constant = self.graph().batch_norm_factors(node, op);
        let (scale, mut shifts) = constant.ok_or_else(|| unsupported(node, "parameters that are no f32 constants"))?;
        if !shift {
            shifts.fill(0.0);
        }
        let values = scale.into_iter().chain(shifts).map(|v| v as f32).collect();
        Ok(self.table(node, if shift { "factors" } else { "slopes" }, &Data::F32(values)))
    }

    fn scratch_of(&mut self, node: &Node, what: &str) -> BufferId {
        self.lowering.program.transient(format!("{}/{what}", node.name))
    }
}
