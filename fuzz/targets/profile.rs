#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| { belljar::hostile::check("profile", bytes); });
