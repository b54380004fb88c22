//! The fuzz target `schema`: see [`skysluice_fuzz::schema`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skysluice_fuzz::schema(data));
