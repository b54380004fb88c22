//! The fuzz target `datum`: see [`skysluice_fuzz::datum`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skysluice_fuzz::datum(data));
