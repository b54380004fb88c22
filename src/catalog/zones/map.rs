//! The mapped file: the only unsafe code of the program.
//!
//! A catalogue of a billion sources is larger than memory. Mapped, its pages are the kernel's: what searches touch often stays,
//! the rest makes room, several processes share one copy, and opening reads nothing. No safe interface offers that, because a
//! map is a `&[u8]` whose bytes another process could change or take away. What makes it sound here:
//!
//! - **The bytes do not change.** A zone index is written under a temporary name in a folder that only its builder uses, synced,
//!   and renamed to its final name. No code of this program opens a zone index for writing after that, or truncates one; a new
//!   version is a new file that takes the name. The map holds the old file by its inode: it stays whole until the last map of it
//!   is gone, and only then the kernel frees its blocks. The map is read-only and private, so nothing here writes through it.
//! - **Somebody else could change them.** Who may write in the folder can overwrite the file in place (`cp new.zones old.zones`
//!   does); the documentation says to rename. If it happens nevertheless, the bytes are plain integers, of which each bit
//!   pattern is a value, and no reference into the map to anything with invariants (`str`, `bool`, enums) is ever made: text is
//!   checked as UTF-8 at each reading and borrowed for that reading only as long as its caller keeps it. Each index taken from
//!   the file is checked against the length of what it points into, at the time of use. A changed byte thus gives a wrong
//!   answer, as a damaged disk would; `verify` finds it. Rust's model calls a change under a `&[u8]` undefined even so; this is
//!   the risk that every reader of mapped files takes, and the reason for never writing in place.
//! - **Pages can be gone.** When the file is truncated in place, or the disk cannot read a block, touching the page raises
//!   SIGBUS, and the process ends at once, as from a fault of memory: there is no error to return. Nothing wrong is delivered
//!   by that: offsets are committed below what is durable, and the service starts again from there. The log of the kernel
//!   names the device. A handler that would go on is not worth having: the source that the page held is not known any more.
//! - **Alignment and lengths** are not left to unsafe code: sections begin at multiples of 4096, maps at pages, and bytemuck
//!   checks both when bytes are read as integers.
//!
//! The second unsafe call is the prefetch instruction. It takes any address, reads nothing that a program could see, and
//! raises no fault even for an address that is not mapped; so it takes an index without a check.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use memmap2::{Advice, Mmap};

/// A whole file, read-only.
#[derive(Debug)]
pub(super) struct Map(Mmap);

impl Map {
    /// Maps the file as long as it is now.
    pub fn new(file: &File) -> io::Result<Map> {
        // SAFETY: the bytes stay as they are for as long as the map lives: see the head of this file.
        let map = unsafe { Mmap::map(file) }?;
        Ok(Map(map))
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Asks the kernel to read bytes ahead, without waiting. What is beyond the end is left out; a refusal does no harm.
    pub fn will_need(&self, start: usize, len: usize) {
        let len = len.min(self.0.len().saturating_sub(start));
        if len > 0 {
            let _ = self.0.advise_range(Advice::WillNeed, start, len);
        }
    }

    /// Tells the kernel that pages are wanted one by one: reading ahead would only push others out.
    pub fn at_random(&self) {
        let _ = self.0.advise(Advice::Random);
    }
}

/// Asks the processor for the cache line of `slice[index]`, without waiting. Any index will do.
#[inline(always)]
pub(super) fn prefetch<T>(slice: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = slice.as_ptr().wrapping_add(index).cast::<i8>();
        // SAFETY: a prefetch is a hint. It changes nothing that a program can see and raises no fault, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, index);
}
