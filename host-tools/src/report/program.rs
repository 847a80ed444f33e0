//! The memory map of a placed program.

use embernet_core::plan::Access;

use super::memory_map::{MemoryMap, Region, RegionKind};
use crate::lower::{Home, Program, Sequence};

impl MemoryMap {
    /// The arena over the steps of `sequence`, one of the two plans of `program`.
    pub fn of(program: &Program, sequence: &Sequence) -> Self {
        let steps = sequence.steps.iter().map(|step| step.layer.as_str()).zip(&sequence.records);
        let last = sequence.records.len().saturating_sub(1);
        let mut map = Self {
            arena_bytes: sequence.layout.arena_bytes,
            steps: steps.map(|(layer, record)| [layer, kind_name(record.name)].join(" ").trim_end().into()).collect(),
            regions: Vec::new(),
        };
        for buffer in &program.buffers {
            let kind = match buffer.home {
                Home::Parameter { .. } => RegionKind::Parameters,
                Home::State { .. } => RegionKind::State,
                Home::Data(_) | Home::Transient | Home::Within { .. } => continue,
            };
            let (name, bytes) = (buffer.name.clone(), buffer.bytes);
            map.regions.push(Region { name, kind, offset: buffer.at.offset(), bytes, first: 0, last });
        }
        for &(id, first, last) in &sequence.layout.spans {
            let buffer = &program.buffers[id.index()];
            let scratch = |used: &crate::lower::Use| used.buffer == id && used.access == Access::Scratch;
            let kind = if sequence.uses.iter().flatten().any(scratch) {
                RegionKind::Scratch
            } else if buffer.name.contains("gradient") {
                RegionKind::Gradient
            } else {
                RegionKind::Activation
            };
            let (name, bytes) = (buffer.name.clone(), buffer.bytes);
            map.regions.push(Region { name, kind, offset: buffer.at.offset(), bytes, first, last });
        }
        map
    }
}

/// `DenseBackwardWeightsF32` without the type, in words that fit under an axis.
fn kind_name(name: &str) -> &'static str {
    if name.contains("BackwardInput") {
        "dx"
    } else if name.contains("BackwardWeights") {
        "dw"
    } else if name.contains("Backward") {
        "back"
    } else if name.contains("CrossEntropy") || name.contains("SquaredError") {
        "loss"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use embernet_core::optim::OptimizerRecord;

    use super::*;
    use crate::graph::Sequential;
    use crate::graph::ops::{Activation, Dense};
    use crate::image::{PackOptions, TrainOptions, pack};
    use crate::lower::Loss;

    #[test]
    fn every_byte_has_one_owner_at_a_time() {
        let graph = Sequential::new([4])
            .add(Dense::new(10).activation(Activation::Relu))
            .add(Dense::new(3).activation(Activation::Softmax))
            .build(1)
            .unwrap();
        let train = TrainOptions {
            optimizer: OptimizerRecord::adam(0.01),
            loss: Loss::SparseCrossEntropy,
            batch: 5,
            ..TrainOptions::default()
        };
        let packed = pack(&graph, &PackOptions { train: Some(train), ..PackOptions::default() }, None).unwrap();
        let program = &packed.program;
        for sequence in [&program.infer, program.train.as_ref().unwrap()] {
            let map = MemoryMap::of(program, sequence);
            assert_eq!(map.steps.len(), sequence.records.len());
            for kind in [RegionKind::Parameters, RegionKind::State, RegionKind::Activation] {
                assert!(map.regions.iter().any(|region| region.kind == kind), "{kind:?}");
            }
            for (index, a) in map.regions.iter().enumerate() {
                assert!(a.offset + a.bytes <= map.arena_bytes);
                for b in &map.regions[index + 1..] {
                    let in_time = a.first <= b.last && b.first <= a.last;
                    let in_space = a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
                    // Buffers of in-place steps share their bytes on purpose.
                    assert!(!(in_time && in_space) || a.offset == b.offset, "{a:?} {b:?}");
                }
            }
        }
    }
}
