//! Whole ONNX models against onnxruntime's outputs, on the scalar token and this machine's best.
//! Without `../shared` the tests say so and pass.

use embernet::image::{self, PackOptions};
use embernet::import::onnx::{self, Imported, Options};
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;
use embernet_tests::onnx::chain;
use embernet_tests::shared;
use std::path::Path;
use zerocopy::IntoBytes;

/// Samples and what they should give.
struct Golden {
    tag: String,
    samples: usize,
    inputs: Vec<f32>,
    outputs: Vec<f32>,
}

fn goldens(folder: &Path) -> Vec<Golden> {
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

fn import(folder: &Path) -> Imported {
    onnx::load(&folder.join("model.onnx"), &Options::default()).unwrap_or_else(|e| panic!("{}", chain(&e)))
}

fn run(imported: &Imported, golden: &Golden, isa: IsaId) -> Vec<f32> {
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

fn tokens() -> Vec<IsaId> {
    let mut tokens = vec![IsaId::Scalar, image::host_isa(false)];
    tokens.dedup();
    tokens
}

fn argmax(row: &[f32]) -> usize {
    (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

#[test]
fn float_models_are_within_a_hundred_thousandth() {
    let Some(models) = shared::dir("onnx_models", "models") else { return };
    for name in ["onnx_mnist8", "onnx_atmega_mnist"] {
        let imported = import(&models.join(name));
        for golden in goldens(&models.join(name)) {
            for isa in tokens() {
                let found = run(&imported, &golden, isa);
                assert_eq!(found.len(), golden.outputs.len());
                // Sums of the same products in another order: the error goes with the output's scale.
                let scale = golden.outputs.iter().fold(0f32, |m, v| m.max(v.abs()));
                let worst = found.iter().zip(&golden.outputs).fold(0f32, |m, (f, e)| m.max((f - e).abs())) / scale;
                println!("{name} {} {isa:?}: {worst:e}", golden.tag);
                assert!(worst <= 1e-5, "{name} {} on {isa:?}: off by {worst} of the scale", golden.tag);
            }
        }
    }
}

#[test]
fn quantised_models_agree_with_the_runtime() {
    let Some(models) = shared::dir("onnx_models", "models") else { return };
    for name in ["onnx_mnist8_qdq_int8_perchannel", "onnx_mnist8_qoperator_int8"] {
        let imported = import(&models.join(name));
        let graph = &mut imported.graph.clone();
        embernet::passes::simplify(graph).expect("a sound graph");
        let integer = graph.nodes.iter().filter(|n| graph.tensor(n.outputs[0]).dtype == embernet::graph::DType::I8);
        // Everything between the first and the last node is integer.
        assert_eq!(integer.count(), graph.nodes.len() - 1, "{name}");
        // The last step's scale, and the layers that round: two convolutions, a product, three sums.
        let last = graph.producers()[graph.outputs[0].index()].map(|n| graph.node(n).inputs[0]).expect("dequantise");
        let step = graph.tensor(last).quant.as_ref().map_or(1.0, |q| q.scale(0));
        for golden in goldens(&models.join(name)) {
            for isa in tokens() {
                let found = run(&imported, &golden, isa);
                let worst = found.iter().zip(&golden.outputs).fold(0f32, |m, (f, e)| m.max((f - e).abs())) / step;
                let classes = golden.outputs.len() / golden.samples;
                let agree = found.chunks(classes).zip(golden.outputs.chunks(classes));
                // Two classes may share the runtime's highest step.
                let same = agree.filter(|(f, e)| e[argmax(f)] == e[argmax(e)]).count();
                println!("{name} {} {isa:?}: {worst} steps, same top-1 {same} of {}", golden.tag, golden.samples);
                assert!(worst <= 6.0, "{name} {} on {isa:?}: off by {worst} steps", golden.tag);
                assert_eq!(same, golden.samples, "{name} {} on {isa:?}", golden.tag);
            }
        }
    }
}
