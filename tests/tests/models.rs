//! Other people's models on this machine: every golden output of the shared data, on every token.
//!
//! Integer models equal the reference byte for byte. A mismatch is traced to the first layer that
//! differs. Without `../shared` the tests say so and pass.

use embernet::data::{Array, Values};
use embernet::graph::DType;
use embernet::image::{self, PackOptions, Packed};
use embernet::import::tflite::{self, Imported};
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;
use embernet_tests::shared;
use std::path::PathBuf;

/// One folder of the shared models.
struct Model {
    name: String,
    folder: PathBuf,
    imported: Imported,
}

/// The TFLite models whose first input has this type.
fn models(dtype: DType) -> Vec<Model> {
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

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// A stack of samples and what they should give.
struct Golden {
    tag: String,
    /// One for each input of the model.
    inputs: Vec<Vec<u8>>,
    output: Vec<u8>,
    samples: usize,
}

impl Model {
    fn goldens(&self) -> Vec<Golden> {
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

    fn pack(&self, samples: usize, isa: IsaId, reuse: bool) -> Packed {
        let options = PackOptions { samples, isa, reuse, ..PackOptions::default() };
        image::pack(&self.imported.graph, &options, None).unwrap_or_else(|e| panic!("{}: {e:?}", self.name))
    }

    /// Runs all samples in groups of at most `batch` and gives the first output.
    fn run(&self, golden: &Golden, isa: IsaId, batch: usize) -> Vec<u8> {
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
}

/// The tokens that this machine has.
fn tokens() -> Vec<IsaId> {
    let mut tokens = vec![IsaId::Scalar];
    let fastest = image::host_isa(false);
    if fastest != IsaId::Scalar {
        tokens.push(fastest);
    }
    tokens
}

#[test]
fn float_models_are_within_a_hundred_thousandth() {
    for model in models(DType::F32) {
        for golden in model.goldens() {
            for isa in tokens() {
                let found = floats(&model.run(&golden, isa, 4));
                let expected = floats(&golden.output);
                assert_eq!(found.len(), expected.len());
                // Two sums of the same products in another order: their difference grows with the
                // terms, not with the result, hence the absolute part.
                let worst =
                    found.iter().zip(&expected).map(|(f, e)| (f - e).abs() / (1.0 + e.abs())).fold(0.0, f32::max);
                println!("{} {} {isa:?}: {worst:e}", model.name, golden.tag);
                assert!(worst <= 1e-5, "{} {} on {isa:?}: off by {worst}", model.name, golden.tag);
            }
        }
    }
}

/// The dumps of every activation for the first random sample, by tensor number of the file.
fn dumped(model: &Model, number: usize) -> Option<Vec<u8>> {
    let path = model.folder.join(format!("layers_random0/t{number:03}.npy"));
    path.exists().then(|| bytes_of(shared::npy(&path).values()))
}

/// Runs the first random sample and names the first layer whose values differ from the dump.
fn first_difference(model: &Model, golden: &Golden, isa: IsaId) -> String {
    let packed = model.pack(1, isa, false);
    let image = packed.image().expect("packed images parse");
    let mut arena = image::arena_for(&image);
    let mut session = image::open(&image, &mut arena, isa).expect("the arena fits");
    for (i, input) in golden.inputs.iter().enumerate() {
        let part = &input[..input.len() / golden.samples];
        session.input_mut(PlanKind::Infer, i).copy_from_slice(part);
    }
    let values = &packed.program.infer.values;
    let numbers: Vec<(usize, embernet::graph::TensorId)> =
        model.imported.activations.iter().enumerate().filter_map(|(n, id)| Some((n, (*id)?))).collect();
    let mut text = String::new();
    let mut memory_at_end: Vec<u8> = Vec::new();
    session.infer_observed(1, &mut |_, _, memory| memory_at_end = memory.arena.to_vec()).expect("one sample fits");
    let order = model.imported.graph.order().expect("validated");
    for node in order {
        let node = model.imported.graph.node(node);
        let id = node.outputs[0];
        let Some((number, _)) = numbers.iter().find(|(_, t)| *t == id) else { continue };
        let (Some(expected), Some(buffer)) = (dumped(model, *number), values[id.index()]) else { continue };
        let at = packed.program.buffer(buffer).at.offset();
        let found = &memory_at_end[at..at + expected.len()];
        let count = found.iter().zip(&expected).filter(|(f, e)| f != e).count();
        if count > 0 {
            text = format!("first at `{}` ({}): {count} of {} bytes differ", node.name, node.op.kind(), expected.len());
            break;
        }
    }
    if text.is_empty() { "in no dumped layer".into() } else { text }
}

fn exact(dtype: DType) {
    for model in models(dtype) {
        for golden in model.goldens() {
            for isa in tokens() {
                let found = model.run(&golden, isa, 4);
                if found == golden.output {
                    continue;
                }
                let wrong = found.iter().zip(&golden.output).filter(|(f, e)| f != e).count();
                let layer = if golden.tag == "random" { first_difference(&model, &golden, isa) } else { String::new() };
                panic!("{} {} on {isa:?}: {wrong} of {} bytes differ; {layer}", model.name, golden.tag, found.len());
            }
        }
    }
}

#[test]
fn int8_models_equal_the_reference_byte_for_byte() {
    exact(DType::I8);
}

#[test]
fn int16_models_equal_the_reference_byte_for_byte() {
    exact(DType::I16);
}

/// Whole arenas of TensorFlow Lite Micro for the same models, and ours at most, in bytes.
const ARENAS: [(&str, usize, usize); 5] = [
    ("mlperf_kws_dscnn_int8", 22_820, 16_500),
    ("mlperf_ic_resnet8_int8", 54_996, 50_000),
    ("mlperf_ad_autoencoder_int8", 2_580, 1_000),
    ("tflm_micro_speech_int8", 6_836, 6_835),
    ("tflm_person_detect_int8", 82_308, 56_000),
];

#[test]
fn arenas_are_smaller_than_tensorflow_lite_micros() {
    let models = [DType::I8, DType::I16].into_iter().flat_map(models).collect::<Vec<_>>();
    let mut table = String::from("model: arena bytes, lower bound, what was simplified\n");
    for model in &models {
        let packed = model.pack(1, IsaId::Scalar, true);
        let (layout, simplified) = (&packed.program.infer.layout, &packed.program.simplified);
        let line = format!("{}: {}, {}, {simplified}\n", model.name, layout.arena_bytes, layout.lower_bound);
        table.push_str(&line);
        if let Some((_, theirs, most)) = ARENAS.iter().find(|(name, ..)| *name == model.name) {
            assert!(layout.arena_bytes <= *most && most < theirs, "{line}: at most {most}");
        }
    }
    if !models.is_empty() {
        insta::assert_snapshot!("arenas", table);
    }
}
