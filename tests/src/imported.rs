//! Other people's models: the shared data's TFLite files with their golden inputs and outputs.

use std::path::PathBuf;

use embernet::data::{Array, Values};
use embernet::graph::{DType, TensorId};
use embernet::image::{self, PackOptions, Packed};
use embernet::import::tflite::{self, Imported};
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;

use crate::shared;

/// One folder of the shared models.
#[derive(Debug)]
pub struct Model {
    /// The folder's name.
    pub name: String,
    folder: PathBuf,
    /// What the importer made of it.
    pub imported: Imported,
}

/// The TFLite models whose first input has this type.
pub fn models(dtype: DType) -> Vec<Model> {
    let Some(folder) = shared::dir("a model with golden outputs", "models") else { return Vec::new() };
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut folders: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    folders.sort();
    let mut models = Vec::new();
    for folder in folders {
        let file = folder.join("model.tflite");
        if !file.exists() {
            continue;
        }
        let imported = tflite::load(&file).unwrap_or_else(|e| panic!("{}: {e:?}", file.display()));
        let graph = &imported.graph;
        if graph.tensor(graph.inputs[0]).dtype == dtype {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            models.push(Model { name, folder, imported });
        }
    }
    models
}

/// The numbers as a session takes and gives them.
fn bytes_of(values: &Values) -> Vec<u8> {
    match values {
        Values::I8(v) => v.iter().map(|x| *x as u8).collect(),
        Values::I16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Values::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        other => panic!("unexpected type {}", other.type_name()),
    }
}

/// A stack of samples and what they should give.
#[derive(Debug)]
pub struct Golden {
    /// `random` or `real`.
    pub tag: String,
    /// One for each input of the model.
    pub inputs: Vec<Vec<u8>>,
    /// The first output.
    pub output: Vec<u8>,
    /// How many.
    pub samples: usize,
}

impl Model {
    /// Every stack of samples that comes with it.
    pub fn goldens(&self) -> Vec<Golden> {
        let mut goldens = Vec::new();
        for tag in ["random", "real"] {
            let output = self.folder.join(format!("output_{tag}_ref.npy"));
            if !output.exists() {
                continue;
            }
            let one = self.folder.join(format!("input_{tag}.npy"));
            let inputs: Vec<Array> = if one.exists() {
                vec![shared::npy(&one)]
            } else {
                let count = self.imported.graph.inputs.len();
                (0..count).map(|i| shared::npy(&self.folder.join(format!("input_{tag}_{i}.npy")))).collect()
            };
            let samples = inputs[0].shape()[0];
            let inputs = inputs.iter().map(|a| bytes_of(a.values())).collect();
            goldens.push(Golden { tag: tag.into(), inputs, output: bytes_of(shared::npy(&output).values()), samples });
        }
        assert!(!goldens.is_empty(), "{} has no goldens", self.name);
        goldens
    }

    /// An image for inference.
    pub fn pack(&self, samples: usize, isa: IsaId, reuse: bool) -> Packed {
        let options = PackOptions { samples, isa, reuse, ..PackOptions::default() };
        image::pack(&self.imported.graph, &options, None).unwrap_or_else(|e| panic!("{}: {e:?}", self.name))
    }

    /// Runs all samples in groups of at most `batch` and gives the first output.
    pub fn run(&self, golden: &Golden, isa: IsaId, batch: usize) -> Vec<u8> {
        let packed = self.pack(batch, isa, true);
        let image = packed.image().expect("packed images parse");
        let mut arena = image::arena_for(&image);
        let mut session = image::open(&image, &mut arena, isa).expect("the arena fits");
        let mut result = Vec::with_capacity(golden.output.len());
        let sample_bytes: Vec<usize> = golden.inputs.iter().map(|i| i.len() / golden.samples).collect();
        let output_bytes = golden.output.len() / golden.samples;
        let mut first = 0;
        while first < golden.samples {
            let count = batch.min(golden.samples - first);
            for (i, (input, bytes)) in golden.inputs.iter().zip(&sample_bytes).enumerate() {
                let part = &input[first * bytes..][..count * bytes];
                session.input_mut(PlanKind::Infer, i)[..part.len()].copy_from_slice(part);
            }
            session.infer(count).expect("so many samples fit");
            result.extend_from_slice(&session.output(0)[..count * output_bytes]);
            first += count;
        }
        result
    }

    /// The dumps of every activation for the first random sample, by tensor number of the file.
    fn dumped(&self, number: usize) -> Option<Vec<u8>> {
        let path = self.folder.join(format!("layers_random0/t{number:03}.npy"));
        path.exists().then(|| bytes_of(shared::npy(&path).values()))
    }

    /// Runs the first random sample and names the first layer whose values differ from the dump.
    pub fn first_difference(&self, golden: &Golden, isa: IsaId) -> String {
        let packed = self.pack(1, isa, false);
        let image = packed.image().expect("packed images parse");
        let mut arena = image::arena_for(&image);
        let mut session = image::open(&image, &mut arena, isa).expect("the arena fits");
        for (i, input) in golden.inputs.iter().enumerate() {
            let part = &input[..input.len() / golden.samples];
            session.input_mut(PlanKind::Infer, i).copy_from_slice(part);
        }
        let values = &packed.program.infer.values;
        let numbers: Vec<(usize, TensorId)> =
            self.imported.activations.iter().enumerate().filter_map(|(n, id)| Some((n, (*id)?))).collect();
        let mut text = String::new();
        let mut memory_at_end: Vec<u8> = Vec::new();
        session.infer_observed(1, &mut |_, _, memory| memory_at_end = memory.arena.to_vec()).expect("one sample fits");
        let order = self.imported.graph.order().expect("validated");
        for node in order {
            let node = self.imported.graph.node(node);
            let id = node.outputs[0];
            let Some((number, _)) = numbers.iter().find(|(_, t)| *t == id) else { continue };
            let (Some(expected), Some(buffer)) = (self.dumped(*number), values[id.index()]) else { continue };
            let at = packed.program.buffer(buffer).at.offset();
            let found = &memory_at_end[at..at + expected.len()];
            let count = found.iter().zip(&expected).filter(|(f, e)| f != e).count();
            if count > 0 {
                text = format!(
                    "first at `{}` ({}): {count} of {} bytes differ",
                    node.name,
                    node.op.kind(),
                    expected.len()
                );
                break;
            }
        }
        if text.is_empty() { "in no dumped layer".into() } else { text }
    }
}
