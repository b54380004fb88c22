//! The fuzz target `frame`: see [`skysluice_fuzz::frame`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skysluice_fuzz::frame(data));
