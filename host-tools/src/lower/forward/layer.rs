//! What the records of many layers have in common, so that a layer says only what is its own.

use super::super::program::Places;
use super::super::{Emit, LowerError};
use super::weighted::Weighted;
use super::{Site, bounds};
use embernet_core::kernels::requantize::RequantizeRecord;
use embernet_core::plan::{Encode, Ref};

/// Places and limits of a float layer with weights.
pub(super) struct FloatLayer {
    pub x: Ref,
    pub w: Ref,
    pub b: Ref,
    pub y: Ref,
    pub lo: f32,
    pub hi: f32,
}

/// Places and scaling of an integer layer with weights.
pub(super) struct IntegerLayer {
    pub x: Ref,
    pub w: Ref,
    pub b: Ref,
    pub y: Ref,
    pub requantize: RequantizeRecord,
}

impl Emit<'_, '_> {
    /// Appends a step from a node's first input to its output.
    pub(super) fn unary<R: Encode>(&mut self, site: Site<'_>, make: impl Fn(Ref, Ref) -> R + 'static) {
        let x = self.value(site.node.inputs[0]);
        let y = self.output(site.node);
        self.sequence.push(&site.node.name, Some(site.id), move |p| make(p.at(x), p.at(y)));
    }

    /// Appends the step of a float layer with weights.
    pub(super) fn float_layer<R: Encode>(
        &mut self,
        site: Site<'_>,
        make: impl Fn(FloatLayer, Places<'_>) -> R + 'static,
    ) -> Result<(), LowerError> {
        let node = site.node;
        let (lo, hi) = bounds(node.op.fused());
        let x = self.value(node.inputs[0]);
        let (w, b) = self.float_weights(node)?;
        let y = self.output(node);
        self.sequence.push(&node.name, Some(site.id), move |p| {
            make(FloatLayer { x: p.at(x), w: p.opt(w), b: p.opt(b), y: p.at(y), lo, hi }, p)
        });
        Ok(())
    }

    /// Appends the step of an integer layer whose tables are `t`.
    pub(super) fn integer_layer<R: Encode>(
        &mut self,
        site: Site<'_>,
        t: Weighted,
        make: impl Fn(IntegerLayer, Places<'_>) -> R + 'static,
    ) {
        let node = site.node;
        let x = self.value(node.inputs[0]);
        let y = self.output(node);
        self.sequence.push(&node.name, Some(site.id), move |p| {
            let requantize = t.requantize(p);
            make(IntegerLayer { x: p.at(x), w: p.at(t.w), b: p.opt(t.b), y: p.at(y), requantize }, p)
        });
    }
}
