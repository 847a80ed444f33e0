//! Any bytes on the link: messages or errors.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    embernet_tests::robust::wire(bytes);
});
