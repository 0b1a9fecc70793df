//! What a command prints: kept in memory while it is small, otherwise in a file in
//! the run's private directory (SPEC §4.2).
//!
//! All captures of a run share one budget, so memory use grows neither with the
//! number of running commands nor with the number of results.
#![forbid(unsafe_code)]

use super::interrupt::lock;
use super::sys;
use crate::text::diagnostic::{cannot, reason};
use std::borrow::Cow;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// How much of one stream is kept in memory at most, in bytes.
const STREAM_MAX: usize = 1 << 20;
/// How far writing to disk can lag behind, in bytes. When the command has ended the
/// journal waits for the rest, which is short if most is written by then.
const WRITEBACK_STEP: u64 = 8 << 20;
/// How much of all streams of a run is kept in memory at most, in bytes.
const RUN_MAX: usize = 16 << 20;

/// The run's private directory. It exists while it holds a file.
///
/// Rejected: removing it when this value is dropped. The threads that share it live
/// as long as the process, which does not wait for them.
pub struct Spool {
    directory: PathBuf,
    in_memory: AtomicUsize,
    files: Mutex<SpoolFiles>,
    /// A journal refers to the files, so they must outlive the results.
    keep: AtomicBool,
}

#[derive(Default)]
struct SpoolFiles {
    made: u64,
    left: u64,
}

impl Spool {
    pub fn new(directory: PathBuf) -> Arc<Spool> {
        Arc::new(Spool {
            directory,
            in_memory: AtomicUsize::new(0),
            files: Mutex::default(),
            keep: AtomicBool::new(false),
        })
    }

    /// From now on no file is removed with its result, only by `clear`.
    pub fn keep(&self) {
        self.keep.store(true, Relaxed);
    }

    /// Removes the directory with everything in it.
    pub fn clear(&self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }

    /// Creates a file that only its owner can read.
    fn create(self: &Arc<Spool>) -> io::Result<(File, SpooledFile)> {
        // Locked, so that removing another file does not remove the directory now.
        let mut files = lock(&self.files);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        let (file, path) = loop {
            let path = self.directory.join(format!("output-{}", files.made));
            let made = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            files.made += 1;
            match made {
                Ok(file) => break (file, path),
                // From the run that this one resumes.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        };
        files.left += 1;
        let spooled = SpooledFile {
            path,
            length: 0,
            spool: self.clone(),
        };
        Ok((file, spooled))
    }

    fn remove(&self, path: &Path) {
        if self.keep.load(Relaxed) {
            return;
        }
        let mut files = lock(&self.files);
        let _ = std::fs::remove_file(path);
        files.left -= 1;
        if files.left == 0 {
            let _ = std::fs::remove_dir(&self.directory);
        }
    }
}

/// A stream while its command runs.
pub struct Capture {
    spool: Arc<Spool>,
    memory: Vec<u8>,
    file: Option<(File, SpooledFile)>,
    length: u64,
    /// Up to which byte writing to disk was started.
    written_back: u64,
    /// From which byte on output was lost, and why.
    lost: Option<(u64, io::Error)>,
}

impl Capture {
    pub fn new(spool: &Arc<Spool>) -> Capture {
        Capture {
            spool: spool.clone(),
            memory: Vec::new(),
            file: None,
            length: 0,
            written_back: 0,
            lost: None,
        }
    }

    /// Adds the next bytes. What cannot be stored is dropped and counted, so a full
    /// disk never blocks the command.
    pub fn push(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if self.lost.is_some() {
            return;
        }
        if self.file.is_none() && !self.fits(bytes.len()) {
            self.spill();
        }
        match &mut self.file {
            _ if self.lost.is_some() => {}
            Some((file, _)) => {
                if let Err(e) = file.write_all(bytes) {
                    self.lost = Some((self.length - bytes.len() as u64, e));
                } else if self.length >= self.written_back + WRITEBACK_STEP {
                    sys::start_writeback(
                        file.as_fd(),
                        self.written_back,
                        self.length - self.written_back,
                    );
                    self.written_back = self.length;
                }
            }
            None => {
                let before = self.memory.capacity();
                self.memory.extend_from_slice(bytes);
                self.spool
                    .in_memory
                    .fetch_add(self.memory.capacity() - before, Relaxed);
            }
        }
    }

    fn fits(&self, more: usize) -> bool {
        self.memory.len() + more <= STREAM_MAX
            && self.spool.in_memory.load(Relaxed) + more <= RUN_MAX
    }

    /// Moves the bytes in memory to a file.
    fn spill(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        self.spool.in_memory.fetch_sub(memory.capacity(), Relaxed);
        let moved = self.spool.create().and_then(|(mut file, spooled)| {
            file.write_all(&memory)?;
            Ok((file, spooled))
        });
        match moved {
            Ok(file) => self.file = Some(file),
            Err(e) => {
                // The beginning in memory is better than nothing.
                self.lost = Some((memory.len() as u64, e));
                self.spool.in_memory.fetch_add(memory.capacity(), Relaxed);
                self.memory = memory;
            }
        }
    }

    /// The whole stream, and a message if part of it was lost.
    pub fn finish(mut self) -> (Captured, Option<String>) {
        let length = self.length;
        let kept = self.lost.as_ref().map_or(length, |(from, _)| *from);
        let lost = self.lost.take().map(|(from, e)| {
            let (path, why) = (self.spool.directory.display(), reason(&e));
            format!(
                "lost the output after byte {from} of {length}: cannot write to `{path}`: {why}"
            )
        });
        let captured = match self.file.take() {
            Some((file, mut spooled)) => {
                if lost.is_some() {
                    // The write that failed may have written a part.
                    let _ = file.set_len(kept);
                }
                spooled.length = kept;
                Captured::File(Arc::new(spooled))
            }
            None => {
                let before = self.memory.capacity();
                let mut bytes = std::mem::take(&mut self.memory);
                bytes.shrink_to_fit();
                self.spool.in_memory.fetch_sub(before, Relaxed);
                Captured::budgeted(bytes, &self.spool)
            }
        };
        (captured, lost)
    }
}

/// A stream of a finished command. Copies share the bytes.
#[derive(Clone)]
pub enum Captured {
    Memory(Arc<MemoryBytes>),
    File(Arc<SpooledFile>),
}

/// Bytes in memory, counted against the run's budget.
pub struct MemoryBytes {
    bytes: Vec<u8>,
    spool: Option<Arc<Spool>>,
}

impl Drop for MemoryBytes {
    fn drop(&mut self) {
        if let Some(spool) = &self.spool {
            spool.in_memory.fetch_sub(self.bytes.capacity(), Relaxed);
        }
    }
}

/// A file in the private directory, removed when nothing refers to it any more.
pub struct SpooledFile {
    path: PathBuf,
    length: u64,
    spool: Arc<Spool>,
}

impl Drop for SpooledFile {
    fn drop(&mut self) {
        self.spool.remove(&self.path);
    }
}

impl Captured {
    /// Bytes that do not come from a command, and do not count against the budget.
    pub fn in_memory(text: impl Into<Vec<u8>>) -> Captured {
        Captured::Memory(Arc::new(MemoryBytes {
            bytes: text.into(),
            spool: None,
        }))
    }

    /// A stream that an earlier process spooled; `None` if its file is gone or has
    /// another length.
    pub fn spooled(path: PathBuf, length: u64, spool: &Arc<Spool>) -> Option<Captured> {
        let same = std::fs::metadata(&path).is_ok_and(|m| m.len() == length);
        same.then(|| {
            Captured::File(Arc::new(SpooledFile {
                path,
                length,
                spool: spool.clone(),
            }))
        })
    }

    /// The same bytes for another run, whose directory gets its own name for a spooled
    /// file.
    ///
    /// # Errors
    /// That the file cannot be linked or copied; the message names it.
    pub fn adopt(&self, spool: &Arc<Spool>) -> io::Result<Captured> {
        let Captured::File(file) = self else {
            return Ok(self.clone());
        };
        let failed = cannot("keep the output", &file.path);
        let (created, mut spooled) = spool.create().map_err(&failed)?;
        drop(created);
        let linked = std::fs::remove_file(&spooled.path)
            .and_then(|()| std::fs::hard_link(&file.path, &spooled.path));
        // Another file system, or one without links.
        linked
            .or_else(|_| std::fs::copy(&file.path, &spooled.path).map(drop))
            .map_err(&failed)?;
        spooled.length = file.length;
        Ok(Captured::File(Arc::new(spooled)))
    }

    /// Syncs a spooled stream to disk.
    ///
    /// # Errors
    /// That its file cannot be synced; the message names it.
    pub fn sync(&self) -> io::Result<()> {
        match self {
            Captured::Memory(_) => Ok(()),
            Captured::File(file) => File::open(&file.path)
                .and_then(|f| f.sync_data())
                .map_err(cannot("sync the output", &file.path)),
        }
    }

    fn budgeted(bytes: Vec<u8>, spool: &Arc<Spool>) -> Captured {
        spool.in_memory.fetch_add(bytes.capacity(), Relaxed);
        Captured::Memory(Arc::new(MemoryBytes {
            bytes,
            spool: Some(spool.clone()),
        }))
    }

    /// The length in bytes, without output that was lost.
    pub fn len(&self) -> u64 {
        match self {
            Captured::Memory(kept) => kept.bytes.len() as u64,
            Captured::File(file) => file.length,
        }
    }

    /// The file it is spooled to; `None` if it is in memory.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Captured::Memory(_) => None,
            Captured::File(file) => Some(&file.path),
        }
    }

    /// All bytes. Those of a spooled stream are read from its file.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Captured::Memory(kept) => Cow::Borrowed(&kept.bytes),
            Captured::File(file) => Cow::Owned(std::fs::read(&file.path).unwrap_or_default()),
        }
    }

    /// The bytes without trailing newlines (SPEC §2.1).
    pub fn trimmed(&self) -> Cow<'_, [u8]> {
        match self.bytes() {
            Cow::Borrowed(bytes) => Cow::Borrowed(trim(bytes)),
            Cow::Owned(mut bytes) => {
                bytes.truncate(trim(&bytes).len());
                Cow::Owned(bytes)
            }
        }
    }

    /// The length without trailing newlines. Reads only the end of a spooled stream.
    pub fn trimmed_len(&self) -> u64 {
        match self {
            Captured::Memory(kept) => trim(&kept.bytes).len() as u64,
            Captured::File(file) => {
                let mut length = file.length;
                while length > 0 {
                    let from = length.saturating_sub(1 << 16);
                    let part = read_part(&file.path, from, (length - from) as usize);
                    let kept = trim(&part).len() as u64;
                    // What cannot be read is no newline.
                    if kept > 0 || part.is_empty() {
                        return from + kept.max(u64::from(part.is_empty()));
                    }
                    length = from;
                }
                0
            }
        }
    }

    /// At most the first `limit` bytes.
    pub fn head(&self, limit: usize) -> Cow<'_, [u8]> {
        match self {
            Captured::Memory(kept) => Cow::Borrowed(&kept.bytes[..limit.min(kept.bytes.len())]),
            Captured::File(file) => Cow::Owned(read_part(&file.path, 0, limit)),
        }
    }

    /// At most the last `limit` bytes.
    pub fn tail(&self, limit: usize) -> Cow<'_, [u8]> {
        let from = self.len().saturating_sub(limit as u64);
        match self {
            Captured::Memory(kept) => Cow::Borrowed(&kept.bytes[from as usize..]),
            Captured::File(file) => Cow::Owned(read_part(&file.path, from, limit)),
        }
    }

    /// Whether it contains these bytes. Does not load a spooled stream as a whole.
    pub fn contains(&self, needle: &[u8]) -> bool {
        use crate::text::search::contains;
        let mut found = false;
        let mut window: Vec<u8> = Vec::new();
        self.chunks(&mut |chunk| {
            window.extend_from_slice(chunk);
            found = contains(&window, needle);
            let keep = needle.len().saturating_sub(1).min(window.len());
            window.drain(..window.len() - keep);
            !found
        });
        found
    }

    /// The number of lines. The last one does not need a newline.
    pub fn lines(&self) -> u64 {
        let (mut lines, mut last) = (0, b'\n');
        self.chunks(&mut |chunk| {
            lines += chunk.iter().filter(|b| **b == b'\n').count() as u64;
            last = chunk.last().copied().unwrap_or(last);
            true
        });
        lines + u64::from(last != b'\n')
    }

    /// Passes the stream to `take` piece by piece, as long as it returns true.
    pub fn chunks(&self, take: &mut dyn FnMut(&[u8]) -> bool) {
        match self {
            Captured::Memory(kept) => {
                take(&kept.bytes);
            }
            Captured::File(file) => {
                let Ok(mut file) = File::open(&file.path) else {
                    return;
                };
                let mut buffer = vec![0; 1 << 16];
                loop {
                    match file.read(&mut buffer) {
                        Ok(length @ 1..) => {
                            if !take(&buffer[..length]) {
                                return;
                            }
                        }
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                        _ => return,
                    }
                }
            }
        }
    }
}

fn read_part(path: &Path, from: u64, limit: usize) -> Vec<u8> {
    let mut out = Vec::new();
    if let Ok(mut file) = File::open(path)
        && file.seek(SeekFrom::Start(from)).is_ok()
    {
        // If the rest cannot be read, what was read so far is returned.
        let _ = file.take(limit as u64).read_to_end(&mut out);
    }
    out
}

fn trim(bytes: &[u8]) -> &[u8] {
    let kept = bytes
        .iter()
        .rposition(|b| *b != b'\n')
        .map_or(0, |last| last + 1);
    &bytes[..kept]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(name: &str) -> Arc<Spool> {
        Spool::new(
            std::env::temp_dir().join(format!("tasker-capture-{}-{name}", std::process::id())),
        )
    }

    #[test]
    fn a_small_stream_stays_in_memory_and_a_large_one_is_spooled() {
        let spool = spool("much");
        let mut capture = Capture::new(&spool);
        capture.push(b"a\nb\n\n");
        let (little, lost) = capture.finish();
        assert!(lost.is_none() && little.path().is_none());
        assert_eq!(
            (little.trimmed().as_ref(), little.lines(), little.len()),
            (&b"a\nb"[..], 3, 5)
        );

        let mut capture = Capture::new(&spool);
        for _ in 0..40 {
            capture.push(&[b'x'; 65_536]);
        }
        capture.push(b"the needle");
        let (much, _) = capture.finish();
        let path = much.path().map(Path::to_path_buf).unwrap_or_default();
        assert!(path.exists());
        assert_eq!(much.len(), 40 * 65_536 + 10);
        assert!(much.contains(b"xthe needle") && !much.contains(b"needles"));
        assert_eq!(
            (much.lines(), much.tail(6).as_ref(), much.head(2).as_ref()),
            (1, &b"needle"[..], &b"xx"[..])
        );
        let directory = path.parent().map(Path::to_path_buf).unwrap_or_default();
        drop(much);
        assert!(!path.exists() && !directory.exists());
    }

    #[test]
    fn the_budget_is_shared_and_given_back() {
        let spool = spool("budget");
        let mut kept = Vec::new();
        for _ in 0..40 {
            let mut capture = Capture::new(&spool);
            capture.push(&vec![b'x'; 1 << 20]);
            kept.push(capture.finish().0);
        }
        assert!(spool.in_memory.load(Relaxed) <= RUN_MAX);
        assert!(kept.iter().any(|c| c.path().is_some()) && kept.iter().all(|c| c.len() == 1 << 20));
        kept.clear();
        assert_eq!(spool.in_memory.load(Relaxed), 0);
    }

    #[test]
    fn a_needle_across_chunks_is_found() {
        let spool = spool("chunks");
        let mut capture = Capture::new(&spool);
        let text: Vec<u8> = (0..3_000_000u32)
            .map(|i| b'a' + (i % 23) as u8)
            .chain(*b"END")
            .collect();
        for part in text.chunks(1000) {
            capture.push(part);
        }
        let (captured, _) = capture.finish();
        assert!(captured.contains(&text[65_530..65_545]) && captured.contains(b"END"));
        assert!(!captured.contains(b"ENDE"));
    }
}
