//! The bytes of a file on their way to the disk: gathered in blocks, written by a thread of their own, so that whoever makes
//! them never waits for the disk unless it is slower than he is.
//!
//! Large files go past the page cache where the file system allows it: nobody reads an archive file in the minute in which it
//! is written, and copying it into the cache costs more than writing it. Elsewhere they go through the cache and are synced
//! every [`STRIDE`] bytes, so that the last sync has little left to do.
//!
//! **Invariant:** only the last block of a file is not full, so every other write past the cache is aligned in memory, in
//! length and in the file.
//! **Invariant:** an error of the disk ends the writing, and the next call gets it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;

/// Bytes of a block.
const BLOCK: usize = 1 << 20;
/// Blocks of a file, at most; made as they are needed. A Parquet row group comes at once: what finds a block does not wait.
const BLOCKS: usize = 32;
/// What writes past the cache are aligned to: the largest block size of disks in use.
const ALIGN: usize = 4096;
/// Bytes between two syncs of a file that goes through the cache.
const STRIDE: u64 = 32 << 20;

/// How the bytes reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Through the page cache: for what is small or read at once.
    Cached,
    /// Past it, where the file system can.
    Direct,
}

/// Room for [`BLOCK`] bytes that begins at a multiple of [`ALIGN`].
#[derive(Debug)]
struct Block {
    room: Vec<u8>,
    start: usize,
    len: usize,
}

impl Block {
    fn new() -> Self {
        let room = vec![0; BLOCK + ALIGN];
        // A vector does not move its bytes as long as it is not grown.
        let start = room.as_ptr().align_offset(ALIGN);
        Self { room, start, len: 0 }
    }

    /// Takes as many of the bytes as there is room for.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(BLOCK - self.len);
        let at = self.start + self.len;
        self.room[at..at + count].copy_from_slice(&bytes[..count]);
        self.len += count;
        count
    }

    fn bytes(&self) -> &[u8] {
        &self.room[self.start..self.start + self.len]
    }

    /// The bytes and zeros up to the next multiple of [`ALIGN`].
    fn padded(&mut self) -> &[u8] {
        let end = self.len.next_multiple_of(ALIGN);
        self.room[self.start + self.len..self.start + end].fill(0);
        &self.room[self.start..self.start + end]
    }
}

enum Order {
    Write(Block),
    /// The last block, and what the file shall begin with in place of what was written there.
    Finish(Block, Vec<u8>),
}

/// A file being written.
#[derive(Debug)]
pub(super) struct Output {
    filling: Block,
    orders: Option<Sender<Order>>,
    empty: Receiver<Block>,
    made: usize,
    writer: Option<JoinHandle<io::Result<()>>>,
}

impl Output {
    /// Creates the file, or empties the one that is there.
    pub fn create(path: &Path, way: Way) -> io::Result<Output> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        if way == Way::Direct {
            let past = options.clone().custom_flags(OFlags::DIRECT.bits() as i32).open(path);
            match past {
                Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {}
                opened => return Output::over(opened?, Way::Direct),
            }
        }
        Output::over(options.open(path)?, Way::Cached)
    }

    /// Writes to an open file.
    pub fn over(file: File, way: Way) -> io::Result<Output> {
        let (orders, to_write) = bounded(BLOCKS);
        let (written, empty) = bounded(BLOCKS);
        let writer = thread::Builder::new().name("disk".to_owned()).spawn(move || write(file, way, &to_write, &written))?;
        Ok(Output { filling: Block::new(), orders: Some(orders), empty, made: 1, writer: Some(writer) })
    }

    /// Hands on what is left and waits until all of it is on the disk. The first bytes of the file become `start`.
    pub fn finish(&mut self, start: Vec<u8>) -> io::Result<()> {
        let last = std::mem::replace(&mut self.filling, Block { room: Vec::new(), start: 0, len: 0 });
        if let Some(orders) = self.orders.take() {
            // A writer that is gone has left its error.
            let _ = orders.send(Order::Finish(last, start));
        }
        self.outcome()
    }

    fn outcome(&mut self) -> io::Result<()> {
        self.orders = None;
        match self.writer.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(io::Error::other("the thread that writes to the disk panicked")),
            None => Err(io::Error::other("writing has failed before")),
        }
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let next = match self.empty.try_recv() {
            Ok(written) => Ok(written),
            Err(_) if self.made < BLOCKS => {
                self.made += 1;
                Ok(Block::new())
            }
            Err(_) => self.empty.recv().map_err(drop),
        };
        let handed = match (next, &self.orders) {
            (Ok(next), Some(orders)) => orders.send(Order::Write(std::mem::replace(&mut self.filling, next))).is_ok(),
            _ => false,
        };
        if handed { Ok(()) } else { self.outcome().and(Err(io::Error::other("the thread that writes to the disk is gone"))) }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.orders.is_none() {
            return Err(io::Error::other("writing has failed before, or is finished"));
        }
        if self.filling.len == BLOCK {
            self.hand_on()?;
        }
        Ok(self.filling.fill(bytes))
    }

    /// Does nothing: a block that is not full has to wait for [`Output::finish`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(writer) = self.writer.take() {
            // Given up: its error, if there is one, is nobody's any more.
            let _ = writer.join();
        }
    }
}

/// The thread. It ends without a sync when the file is given up.
fn write(mut file: File, mut way: Way, orders: &Receiver<Order>, empty: &Sender<Block>) -> io::Result<()> {
    let (mut total, mut synced) = (0_u64, 0_u64);
    for order in orders {
        let (mut block, last) = match order {
            Order::Write(block) => (block, None),
            Order::Finish(block, start) => (block, Some(start)),
        };
        total += block.len as u64;
        if way == Way::Direct {
            match file.write_all(block.padded()) {
                Err(error) if total == block.len as u64 && error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                    // The file system took the flag and can't do it; nothing has been written yet.
                    fcntl_setfl(&file, OFlags::empty())?;
                    way = Way::Cached;
                }
                done => done?,
            }
        }
        if way == Way::Cached {
            file.write_all(block.bytes())?;
            if total - synced >= STRIDE {
                file.sync_data()?;
                synced = total;
            }
        }
        if let Some(start) = last {
            if way == Way::Direct {
                file.set_len(total)?;
                // What is not aligned goes through the cache.
                fcntl_setfl(&file, OFlags::empty())?;
            }
            file.write_all_at(&start, 0)?;
            return file.sync_all();
        }
        block.len = 0;
        // The file may just have been given up.
        let _ = empty.try_send(block);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Lengths around the sizes of blocks and alignment, written in pieces of odd sizes.
    #[test]
    fn a_file_holds_what_was_written_whichever_way_it_went() {
        let home = tempfile::tempdir().unwrap();
        for way in [Way::Cached, Way::Direct] {
            for len in [0, 1, ALIGN - 1, ALIGN, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 4097, 40 * BLOCK] {
                let bytes: Vec<u8> = (0..len).map(|i| (i * 31 % 251) as u8).collect();
                let path = home.path().join("file");
                let mut out = Output::create(&path, way).unwrap();
                bytes.chunks(77_777).for_each(|piece| out.write_all(piece).unwrap());
                out.finish(Vec::new()).unwrap();
                assert!(std::fs::read(&path).unwrap() == bytes, "{way:?}, {len} bytes");
            }
        }
    }

    #[test]
    fn a_file_can_begin_with_what_was_known_last() {
        let home = tempfile::tempdir().unwrap();
        for way in [Way::Cached, Way::Direct] {
            for len in [5000, BLOCK + 1, 3 * BLOCK] {
                let path = home.path().join("file");
                let mut out = Output::create(&path, way).unwrap();
                out.write_all(&vec![1; len]).unwrap();
                out.finish(vec![2; 4321]).unwrap();
                let found = std::fs::read(&path).unwrap();
                let (start, rest) = found.split_at(4321);
                assert!(found.len() == len && start.iter().all(|b| *b == 2) && rest.iter().all(|b| *b == 1), "{way:?}, {len}");
            }
        }
    }

    #[test]
    fn an_error_of_the_disk_comes_back_and_stays() {
        let Ok(file) = File::options().write(true).open("/dev/full") else { return eprintln!("skipped: no /dev/full") };
        let mut out = Output::over(file, Way::Cached).unwrap();
        let refused = (0..3 * BLOCKS).find_map(|_| out.write_all(&[1; BLOCK]).err()).unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert!(out.finish(Vec::new()).is_err() && out.write_all(&[1; 2 * BLOCK]).is_err());
    }
}
