//! Any bytes: an array, an archive of arrays, a table, or errors.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    embernet_tests::robust::data(bytes);
});
