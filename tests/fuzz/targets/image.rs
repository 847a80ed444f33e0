//! Any bytes: an image or an error; what parses also runs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    embernet_tests::robust::image(bytes);
});
