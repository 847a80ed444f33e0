//! Any bytes: a TFLite model or an error; what is imported also packs and runs, or is refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    embernet_tests::robust::tflite(bytes);
});
