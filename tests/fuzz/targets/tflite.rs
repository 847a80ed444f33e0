//! Any bytes: a TFLite model or an error, in bounded memory; what is imported also packs and runs, or is refused.
#![no_main]

#[path = "../bound.rs"]
mod bound;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(graph) = bound::within(bytes, embernet_tests::robust::tflite) {
        embernet_tests::robust::graph(&graph);
    }
});
