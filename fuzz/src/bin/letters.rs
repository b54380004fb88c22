//! The fuzz target `letters`: see [`skysluice_fuzz::letters`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skysluice_fuzz::letters(data));
