#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| { belljar::fuzzing::check("seccomp_json", bytes); });
