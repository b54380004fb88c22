//! What readers of several files hand to the one who writes the index: in the order of the files, however they overtake each other,
//! and no more than fits in a given memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Things of several files, each file closed by a last one.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// Bytes of the file whose turn it is, and again of all behind it.
    room: usize,
    files: usize,
}

struct State<T> {
    /// The next file that nobody reads.
    free: usize,
    /// The file whose turn it is.
    turn: usize,
    waiting: BTreeMap<usize, Waiting<T>>,
    closed: bool,
}

struct Waiting<T> {
    things: VecDeque<(T, usize, bool)>,
    bytes: usize,
}

impl<T> Queue<T> {
    /// For so many files, `room` bytes of the one whose turn it is and of the others.
    pub fn new(files: usize, room: usize) -> Queue<T> {
        let state = State { free: 0, turn: 0, waiting: BTreeMap::new(), closed: false };
        Queue { state: Mutex::new(state), changed: Condvar::new(), room, files }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing in here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file for a reader, the first that nobody has; none when all are taken, or nobody wants more.
    pub fn claim(&self) -> Option<usize> {
        let mut state = self.lock();
        if state.closed || state.free == self.files {
            return None;
        }
        state.free += 1;
        Some(state.free - 1)
    }

    /// Hands over a thing of a file, the last or not; waits for room. `false` when nobody wants more.
    pub fn put(&self, file: usize, thing: T, bytes: usize, last: bool) -> bool {
        let mut state = self.lock();
        while !state.closed && !state.fits(file, bytes, self.room) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return false;
        }
        let waiting = state.waiting.entry(file).or_insert_with(|| Waiting { things: VecDeque::new(), bytes: 0 });
        waiting.things.push_back((thing, bytes, last));
        waiting.bytes += bytes;
        drop(state);
        self.changed.notify_all();
        true
    }

    /// The next thing; none after the last of the last file, or when it is closed.
    pub fn take(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.closed || state.turn == self.files {
                return None;
            }
            let turn = state.turn;
            let waiting = state.waiting.get_mut(&turn);
            if let Some((waiting, (thing, bytes, last))) = waiting.and_then(|w| w.things.pop_front().map(|next| (w, next))) {
                waiting.bytes -= bytes;
                if last {
                    state.waiting.remove(&turn);
                    state.turn += 1;
                }
                drop(state);
                self.changed.notify_all();
                return Some(thing);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends it: readers stop, and the writer gets nothing more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

impl<T> State<T> {
    /// Whether there is room. What is alone fits, however large it is.
    fn fits(&self, file: usize, bytes: usize, room: usize) -> bool {
        let held: usize = if file == self.turn {
            self.waiting.get(&file).map_or(0, |w| w.bytes)
        } else {
            self.waiting.range(self.turn + 1..).map(|(_, w)| w.bytes).sum()
        };
        held == 0 || held + bytes <= room
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn files_come_in_their_order_whoever_is_faster() {
        const FILES: usize = 40;
        let queue = Queue::new(FILES, 5);
        let got = std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while let Some(file) = queue.claim() {
                        for part in 0..=file % 7 {
                            assert!(queue.put(file, (file, part), 2, part == file % 7));
                        }
                    }
                });
            }
            std::iter::from_fn(|| queue.take()).collect::<Vec<_>>()
        });
        let expected: Vec<(usize, usize)> = (0..FILES).flat_map(|f| (0..=f % 7).map(move |p| (f, p))).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn readers_stop_when_nobody_wants_more() {
        let queue = Queue::new(2, 1);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| (0..).take_while(|n| queue.put(0, *n, 1, false)).count());
            assert_eq!(queue.take(), Some(0));
            queue.close();
            assert!(reader.join().unwrap() <= 2);
        });
        assert!(queue.take().is_none() && queue.claim().is_none());
    }
}
