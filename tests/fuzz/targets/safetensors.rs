//! Any bytes: a checkpoint, weights for a network, or an error, in bounded memory; a checkpoint also packs and runs, or is
//! refused.
#![no_main]

#[path = "../bound.rs"]
mod bound;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(graph) = bound::within(bytes, embernet_tests::robust::safetensors) {
        embernet_tests::robust::graph(&graph);
    }
});
