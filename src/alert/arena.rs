//! Memory for payloads, used again and again. A fresh arena of some megabytes costs more to be had from the kernel (its pages
//! are cleared first) than it costs to fill.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_buffer::Buffer;
use bytes::Bytes;

/// Bytes below which it is not worth while to look for an arena of the right size.
const SMALLEST: usize = 64 << 10;
/// An arena larger than this is given back at once.
const LARGEST: usize = 16 << 20;

/// Arenas that came back. Clones share them.
#[derive(Clone, Debug)]
pub struct Arenas {
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Bytes that are kept for later, at most.
    kept: u64,
}

/// Bytes lent out as a buffer; they go back when the last view of the buffer is dropped.
struct Lent {
    bytes: Vec<u8>,
    home: Arenas,
}

impl Arenas {
    /// Keeps up to `kept` bytes for later: as many as may be in flight, for a row group gives all of its arenas back at once.
    #[must_use]
    pub fn keeping(kept: u64) -> Arenas {
        Arenas { spare: Arc::default(), kept }
    }

    /// An empty arena with room for `expected` bytes, and not for many more: the byte budget is charged for all of it.
    #[must_use]
    pub fn take(&self, expected: usize) -> Vec<u8> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        // Some room to spare: an arena that had to grow for the last message of its batch would be twice as large for ever.
        let wanted = expected + expected / 8;
        let fits = |arena: &Vec<u8>| (expected..=2 * wanted.max(SMALLEST)).contains(&arena.capacity());
        if let Some(at) = spare.iter().rposition(fits) {
            return spare.swap_remove(at);
        }
        // What is kept is of other sizes: as much of it goes as comes.
        let mut gone = 0;
        while gone < wanted
            && let Some(arena) = spare.pop()
        {
            gone += arena.capacity();
        }
        Vec::with_capacity(wanted)
    }

    /// The arena as a buffer, without copying.
    #[must_use]
    pub fn lend(&self, arena: Vec<u8>) -> Buffer {
        Buffer::from(Bytes::from_owner(Lent { bytes: arena, home: self.clone() }))
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut arena = std::mem::take(&mut self.bytes);
        arena.clear();
        let mut spare = self.home.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = spare.iter().map(Vec::capacity).sum();
        if arena.capacity() <= LARGEST && (kept + arena.capacity()) as u64 <= self.home.kept {
            spare.push(arena);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arena_comes_back_when_its_last_view_is_gone() {
        let arenas = Arenas::keeping(1 << 20);
        let mut arena = arenas.take(1000);
        arena.extend_from_slice(b"payload");
        let place = arena.as_ptr();
        let buffer = arenas.lend(arena);
        let view = buffer.slice_with_length(3, 4);
        drop(buffer);
        let other = arenas.take(500);
        assert_eq!((&view[..], other.as_ptr() == place), (&b"load"[..], false));
        drop(view);
        let again = arenas.take(500);
        assert!(again.is_empty() && again.as_ptr() == place);
        assert!(arenas.take(2000).capacity() >= 2000);
    }

    #[test]
    fn a_small_batch_does_not_hold_a_large_arena() {
        let arenas = Arenas::keeping(64 << 20);
        drop((0..4).map(|_| arenas.lend(Vec::with_capacity(4 << 20))).collect::<Vec<_>>());
        let small: Vec<_> = (0..6).map(|_| arenas.take(400_000)).collect();
        assert!(small.iter().all(|arena| arena.capacity() < 1_000_000));
        // Each has taken the place of a large one.
        assert!(arenas.spare.lock().unwrap_or_else(PoisonError::into_inner).is_empty());
        assert!(arenas.take(4 << 20).capacity() >= 4 << 20);
    }

    #[test]
    fn giants_are_not_kept() {
        let arenas = Arenas::keeping(64 << 20);
        drop(arenas.lend(Vec::with_capacity(LARGEST + 1)));
        let lent: Vec<_> = (0..20).map(|_| arenas.lend(Vec::with_capacity(LARGEST))).collect();
        drop(lent);
        let spare = arenas.spare.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(spare.iter().map(Vec::capacity).sum::<usize>() == 64 << 20 && spare.iter().all(|a| a.capacity() <= LARGEST));
    }
}
