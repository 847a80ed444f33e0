//! Any bytes: a graph or an error; what becomes a graph is packed and run.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    embernet_tests::robust::onnx(bytes);
});
