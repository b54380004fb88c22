//! The fuzz target `container`: see [`skysluice_fuzz::container`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skysluice_fuzz::container(data));
