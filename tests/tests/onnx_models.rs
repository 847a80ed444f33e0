//! Whole ONNX models against onnxruntime's outputs, on the scalar token and this machine's best.
//! Without `../shared` the tests say so and pass.

use embernet::image;
use embernet_core::arch::IsaId;
use embernet_tests::onnx::models::{argmax, goldens, import, run};
use embernet_tests::shared;

fn tokens() -> Vec<IsaId> {
    let mut tokens = vec![IsaId::Scalar, image::host_isa(false)];
    tokens.dedup();
    tokens
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
