//! One small TFLite model for each operator and number format: import, run, export, import and run again.
//!
//! `tests/data/tflite/README.md` says how the models and their outputs were made.

use embernet::data::{Array, DataError, Values, read_npz};
use embernet::export;
use embernet::graph::Graph;
use embernet::image::{self, PackError, PackOptions};
use embernet::import::tflite;
use embernet_core::arch::IsaId;
use embernet_core::exec::PlanKind;
use embernet_tests::shared::root;
use std::path::{Path, PathBuf};

/// The models of this folder whose names end so.
fn models(ending: &str) -> Vec<PathBuf> {
    let folder = root().join("tests/data/tflite");
    let entries = std::fs::read_dir(&folder).expect("the models are part of the repository");
    let ending = format!("_{ending}.tflite");
    let fits = |path: &PathBuf| path.to_string_lossy().ends_with(&ending);
    let mut models: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(fits).collect();
    models.sort();
    assert!(!models.is_empty(), "no model ends in {ending}");
    models
}

/// Arrays `x0`, `x1`, ... or `y0`, ... of an archive.
fn arrays(path: &Path, letter: char, count: usize) -> Vec<Array> {
    let one = |i: usize| -> Result<Array, DataError> {
        let [array] = read_npz(path, [&format!("{letter}{i}")])?;
        Ok(array)
    };
    (0..count).map(|i| one(i).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).collect()
}

fn bytes_of(values: &Values) -> Vec<u8> {
    match values {
        Values::I8(v) => v.iter().map(|x| *x as u8).collect(),
        Values::I16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Values::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        other => panic!("unexpected type {}", other.type_name()),
    }
}

/// All outputs for all samples, one after the other: a layer may remember.
fn run(graph: &Graph, inputs: &[Array]) -> Result<Vec<Vec<u8>>, PackError> {
    let options = PackOptions { isa: IsaId::Scalar, ..PackOptions::default() };
    let packed = image::pack(graph, &options, None)?;
    let image = packed.image().expect("packed images parse");
    let samples = inputs[0].shape()[0];
    let inputs: Vec<Vec<u8>> = inputs.iter().map(|a| bytes_of(a.values())).collect();
    let mut outputs = vec![Vec::new(); graph.outputs.len()];
    let mut arena = image::arena_for(&image);
    let mut session = image::open(&image, &mut arena, IsaId::Scalar).expect("the arena fits");
    for sample in 0..samples {
        for (i, input) in inputs.iter().enumerate() {
            let len = input.len() / samples;
            session.input_mut(PlanKind::Infer, i)[..len].copy_from_slice(&input[sample * len..][..len]);
        }
        session.infer(1).expect("one sample fits");
        for (i, output) in outputs.iter_mut().enumerate() {
            let len = graph.tensor(graph.outputs[i]).bytes();
            output.extend_from_slice(&session.output(i)[..len]);
        }
    }
    Ok(outputs)
}

/// Runs the models with this ending, and again what export and import make of them. `far` says whether outputs
/// are too far from the reference's: output, reference, and the largest magnitude of the reference.
fn check(ending: &str, far: fn(&str, &[u8], &[u8]) -> Option<String>) {
    let mut wrong = Vec::new();
    for path in models(ending) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let graph = match tflite::load(&path) {
            Ok(imported) => imported.graph,
            Err(error) => {
                wrong.push(format!("{name}: {error:?}"));
                continue;
            }
        };
        let archive = path.with_extension("npz");
        let inputs = arrays(&archive, 'x', graph.inputs.len());
        let expected = arrays(&archive, 'y', graph.outputs.len());
        let found = match run(&graph, &inputs) {
            Ok(found) => found,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        for (found, expected) in found.iter().zip(&expected) {
            let expected = bytes_of(expected.values());
            assert_eq!(found.len(), expected.len(), "{name}");
            wrong.extend(far(&name, found, &expected).map(|why| format!("{name}: {why}")));
        }
        match export::tflite::to_bytes(&graph).map(|bytes| tflite::from_bytes(&bytes)) {
            Ok(Ok(back)) if run(&back.graph, &inputs).is_ok_and(|again| again == found) => (),
            Ok(Ok(_)) => wrong.push(format!("{name}: comes back from export with other outputs")),
            Ok(Err(error)) => wrong.push(format!("{name}: does not come back from export: {error:?}")),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {ending}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Where TensorFlow Lite Micro, whose arithmetic ours is, computes otherwise than the runtime that made the outputs,
/// and how many steps that may make.
///
/// - LSTM: its logistic function is a table, that of desktop TFLite a polynomial; a state carries the difference on.
/// - Products: TFLite multiplies and divides the scales in f32, TFLite Micro in double (`CalculateOpDataMul` in its
///   `mul_common.cc`). In `mul_channels_i16` that makes mantissas of 1074444032 and 1074443971, and one of 240
///   products, 28070 * -32767, is -28087.4985 steps with the second: with the first it is rounded to -28088.
/// - Transposed convolution of int16 without bias: it sums in 64 bits, as the file asks for (`quantized_bias_type`);
///   tflite-runtime 2.14 does not know that option and sums in 32, with another rounding (LiteRT 2.3 does not).
const DIFFERENT: [(&str, i64); 4] =
    [("lstm_i8", 2), ("lstm_clipped_i8", 2), ("mul_channels_i16", 1), ("transpose_conv_i16", 1)];

/// The largest difference of two integers, in steps.
fn steps(found: &[i64], expected: &[i64]) -> i64 {
    found.iter().zip(expected).map(|(f, e)| (f - e).abs()).max().unwrap_or(0)
}

fn exact(name: &str, found: &[i64], expected: &[i64]) -> Option<String> {
    let most = DIFFERENT.iter().find(|(other, _)| *other == name).map_or(0, |(_, most)| *most);
    let off = steps(found, expected);
    (off > most).then(|| format!("off by up to {off} steps"))
}

fn exact_i8(name: &str, found: &[u8], expected: &[u8]) -> Option<String> {
    let wide = |bytes: &[u8]| bytes.iter().map(|b| i64::from(*b as i8)).collect::<Vec<_>>();
    exact(name, &wide(found), &wide(expected))
}

fn exact_i16(name: &str, found: &[u8], expected: &[u8]) -> Option<String> {
    let wide = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|b| i64::from(i16::from_le_bytes(*b))).collect::<Vec<_>>();
    exact(name, &wide(found), &wide(expected))
}

/// Within so much of the largest reference value.
fn within(found: &[u8], expected: &[u8], share: f32) -> Option<String> {
    let floats = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect::<Vec<f32>>();
    let (found, expected) = (floats(found), floats(expected));
    let largest = expected.iter().fold(1e-3f32, |most, e| most.max(e.abs()));
    let worst = found.iter().zip(&expected).map(|(f, e)| (f - e).abs()).fold(0.0, f32::max);
    (worst.is_nan() || worst > share * largest).then(|| format!("off by {worst} of {largest}"))
}

#[test]
fn int8_operators_equal_the_reference() {
    check("i8", exact_i8);
}

#[test]
fn int16_operators_equal_the_reference() {
    check("i16", exact_i16);
}

/// Sums of a few hundred products, in another order.
#[test]
fn float_operators_are_within_a_hundred_thousandth() {
    check("f32", |_, found, expected| within(found, expected, 1e-5));
}

/// The reference rounds activations to int8 before it multiplies, we do not: half a step of 255 for each product.
#[test]
fn hybrid_operators_are_within_the_references_rounding() {
    check("hybrid", |_, found, expected| within(found, expected, 0.02));
}
