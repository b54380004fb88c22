//! The command `skysluice-loadgen`; all of it is in the library, so that tests can call it too.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    skysluice_loadgen::run(std::env::args_os(), &mut std::io::stdout()).into()
}
