//! Any bytes: an image or an error; what parses also runs. With right checksums, or all damage ends at the first door.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    embernet_tests::robust::repair_checksums(&mut bytes);
    embernet_tests::robust::image(&bytes);
});
