//! ONNX models on emulated boards: the host's bytes, and the class that onnxruntime finds.
//!
//! Integer kernels and float ones alike compute the same bits everywhere, so that the host's outputs, which
//! `onnx_models.rs` compares with the runtime's, are what a board has to give.

use embernet::flash::slot;
use embernet::image::{PackOptions, pack};
use embernet::link::Board;
use embernet_core::arch::IsaId;
use embernet_tests::onnx::models::{argmax, goldens, import, run};
use embernet_tests::{firmware, shared};
use zerocopy::IntoBytes;

/// Runs the first samples of every stack of a model.
fn equals_host(board: &str, name: &str, samples: usize) {
    let Some(folder) = shared::dir("an ONNX model on a board", &format!("models/{name}")) else { return };
    let isa = Board::named(board).unwrap().isa;
    let imported = import(&folder);
    let packed = pack(&imported.graph, &PackOptions { isa, ..PackOptions::default() }, None).unwrap();
    let image = packed.image().unwrap();
    let flashed = slot(&packed.bytes, &Board::named(board).unwrap().slots, 1).unwrap();
    let Some(mut client) = firmware::start(board, Some(flashed)) else { return };
    let have = client.info().unwrap().arena_bytes as usize;
    assert!(image.arena_bytes() <= have, "{name} needs {} bytes of arena, {board} has {have}", image.arena_bytes());
    assert_eq!(client.load(&image, |_, _| {}).unwrap().sent, 0, "the model was flashed");
    for golden in goldens(&folder) {
        let count = golden.samples.min(samples);
        let [inputs, classes] = [&golden.inputs, &golden.outputs].map(|all| all.len() / golden.samples);
        let x = golden.inputs[..count * inputs].as_bytes();
        let found = client.infer(&image, &[x], true).unwrap();
        let host = run(&imported, &golden, IsaId::Scalar);
        assert_eq!(found.outputs[0], host[..count * classes].as_bytes(), "{board}: {name} {}", golden.tag);
        for (sample, expected) in golden.outputs.chunks(classes).take(count).enumerate() {
            let class = argmax(&host[sample * classes..][..classes]);
            assert_eq!(expected[class], expected[argmax(expected)], "{board}: {name} {} {sample}", golden.tag);
        }
    }
}

#[test]
fn float_models_on_m4() {
    equals_host("m4", "onnx_mnist8", 1);
    equals_host("m4", "onnx_atmega_mnist", 2);
}

#[test]
fn quantised_models_on_m4() {
    equals_host("m4", "onnx_mnist8_qdq_int8_perchannel", 2);
    equals_host("m4", "onnx_mnist8_qoperator_int8", 2);
}

#[test]
fn a_quantised_model_on_cores_without_simd_or_fpu() {
    for board in ["m3", "rv32"] {
        equals_host(board, "onnx_mnist8_qdq_int8_perchannel", 1);
    }
}

#[test]
#[ignore = "minutes: every sample, on more boards"]
fn every_sample_on_every_board() {
    for board in ["m3", "m4", "m7", "m33", "m55", "rv32"] {
        for name in
            ["onnx_mnist8", "onnx_atmega_mnist", "onnx_mnist8_qdq_int8_perchannel", "onnx_mnist8_qoperator_int8"]
        {
            equals_host(board, name, usize::MAX);
        }
    }
}
