//! Other people's models on this machine: every golden output of the shared data, on every token.
//!
//! Integer models equal the reference byte for byte. A mismatch is traced to the first layer that
//! differs. Without `../shared` the tests say so and pass.

use embernet::graph::DType;
use embernet::image;
use embernet_core::arch::IsaId;
use embernet_tests::imported::models;

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Orders of weights for devices, which the scalar token reads, too.
const LAYOUTS: [IsaId; 1] = [IsaId::Dsp];

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

fn exact(dtype: DType) {
    for model in models(dtype) {
        for golden in model.goldens() {
            for isa in tokens().into_iter().chain(LAYOUTS) {
                let found = model.run(&golden, isa, 4);
                if found == golden.output {
                    continue;
                }
                let wrong = found.iter().zip(&golden.output).filter(|(f, e)| f != e).count();
                let layer = if golden.tag == "random" { model.first_difference(&golden, isa) } else { String::new() };
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
