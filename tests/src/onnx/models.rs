//! Whole ONNX models of the shared data, with onnxruntime's outputs.

use super::chain;
use crate::shared;
use embernet::image::{self, PackOptions};
use embernet::import::onnx::{self, Imported, Options};
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;
use std::path::Path;
use zerocopy::IntoBytes;

/// Samples and what they should give.
#[derive(Debug)]
pub struct Golden {
    /// `random`, `real` or `dataset`.
    pub tag: String,
    /// How many.
    pub samples: usize,
    /// One after the other.
    pub inputs: Vec<f32>,
    /// The runtime's.
    pub outputs: Vec<f32>,
}

/// All of a model's folder.
pub fn goldens(folder: &Path) -> Vec<Golden> {
    let read = |name: String| {
        let path = folder.join(name);
        path.exists().then(|| shared::npy(&path))
    };
    let golden = |tag: &str| {
        let (inputs, outputs) = (read(format!("input_{tag}.npy"))?, read(format!("output_{tag}.npy"))?);
        let samples = inputs.shape()[0];
        let floats = |a: &embernet::data::Array| match a.values() {
            embernet::data::Values::F32(v) => v.clone(),
            other => panic!("unexpected type {}", other.type_name()),
        };
        Some(Golden { tag: tag.into(), samples, inputs: floats(&inputs), outputs: floats(&outputs) })
    };
    ["random", "real", "dataset"].into_iter().filter_map(golden).collect()
}

/// Its model.
///
/// # Panics
/// If it cannot be imported.
pub fn import(folder: &Path) -> Imported {
    onnx::load(&folder.join("model.onnx"), &Options::default()).unwrap_or_else(|e| panic!("{}", chain(&e)))
}

/// Runs them all on this machine.
///
/// # Panics
/// If the model cannot be run.
pub fn run(imported: &Imported, golden: &Golden, isa: IsaId) -> Vec<f32> {
    let options = PackOptions { isa, ..PackOptions::default() };
    let packed = image::pack(&imported.graph, &options, None).unwrap_or_else(|e| panic!("{}", chain(&e)));
    let image = packed.image().expect("packed images parse");
    let mut arena = image::arena_for(&image);
    let mut session = image::open(&image, &mut arena, isa).expect("the arena fits");
    let mut found = Vec::new();
    // One channel: channels first and last are the same.
    for sample in golden.inputs.chunks(golden.inputs.len() / golden.samples) {
        session.input_mut(PlanKind::Infer, 0).copy_from_slice(sample.as_bytes());
        session.infer(1).expect("one sample fits");
        found.extend(session.output(0).as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
    }
    found
}

/// The place of the greatest value.
pub fn argmax(row: &[f32]) -> usize {
    (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}
