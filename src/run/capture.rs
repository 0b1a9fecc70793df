//! What a command prints: kept in memory while it is small, otherwise in a file in
//! the run's private directory (SPEC §4.2).
//!
//! All captures of a run share one budget, so memory use grows neither with the
//! number of running commands nor with the number of results.
#![forbid(unsafe_code)]

use super::directory::{self, Directory, NamedFile, OpenMode, Trust};
use super::interrupt::lock;
use super::place::Place;
use super::sys;
use crate::text::diagnostic::{cannot, printable, reason};
use crate::text::search::StreamSearch;
use crate::text::size;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// How much of one stream is kept in memory at most, in bytes. So much is also kept of
/// one that could not be kept whole: the rest would only fill the disk, since no task
/// gets a part of an output.
const STREAM_MAX: usize = 1 << 20;
/// How much of a file is read at once, in bytes.
const BLOCK: usize = 64 << 10;
/// How far writing to disk can lag behind, in bytes. When the command has ended the
/// journal waits for the rest, which is short if most is written by then.
const WRITEBACK_STEP: u64 = 8 << 20;
/// How much of all streams of a run is kept in memory at most, in bytes.
const RUN_MAX: usize = 16 << 20;

/// What bounds the outputs of a run (SPEC §4.2).
#[derive(Clone, Copy, Default)]
pub struct OutputLimits {
    /// How much of the file system of the log directory stays free, in bytes.
    pub keep_free: u64,
    /// The longest stream that is kept, in bytes.
    pub max_output: Option<u64>,
}

/// Where a run keeps its private files: a directory of its own in `state`.
#[derive(Clone)]
pub struct PrivateFiles {
    state: Place,
    name: OsString,
}

impl PrivateFiles {
    pub fn new(state: Place, run_id: &str) -> PrivateFiles {
        PrivateFiles {
            state,
            name: run_id.into(),
        }
    }

    fn path(&self) -> PathBuf {
        self.state.path().join(&self.name)
    }

    fn existing(&self) -> io::Result<Directory> {
        let entered = self.state.existing()?.enter(&self.name, Trust::Own);
        Ok(entered
            .map_err(|e| directory::cannot_use(&self.path(), e))?
            .directory)
    }

    fn made(&self) -> io::Result<Directory> {
        match self.state.made()?.make(&self.name) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => self.existing(),
            made => made.map_err(cannot("create the directory", &self.path())),
        }
    }

    fn remove(&self, how: impl Fn(&Directory, &OsStr) -> io::Result<()>) {
        // What stays does no harm.
        if let Ok(state) = self.state.existing() {
            let _ = how(&state, &self.name);
        }
    }
}

/// The run's private directory. It exists while it holds a file.
///
/// Rejected: removing it when this value is dropped. The threads that share it live
/// as long as the process, which does not wait for them.
pub struct Spool {
    private: PrivateFiles,
    limits: OutputLimits,
    in_memory: AtomicUsize,
    files: Mutex<SpoolFiles>,
    /// A journal refers to the files, so they must outlive the results.
    keep: AtomicBool,
}

#[derive(Default)]
struct SpoolFiles {
    directory: Option<Directory>,
    made: u64,
    left: u64,
}

impl Spool {
    /// For outputs that are read, or that nothing bounds.
    pub fn new(private: PrivateFiles) -> Arc<Spool> {
        Spool::bounded(private, OutputLimits::default())
    }

    /// In this directory, wherever that is.
    #[cfg(test)]
    pub fn in_directory(path: &str) -> Arc<Spool> {
        let path = Path::new(path);
        let state = Place::at(path.parent().unwrap_or(path).into(), |_| {});
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Spool::new(PrivateFiles::new(state, &name))
    }

    pub fn bounded(private: PrivateFiles, limits: OutputLimits) -> Arc<Spool> {
        Arc::new(Spool {
            private,
            limits,
            in_memory: AtomicUsize::new(0),
            files: Mutex::default(),
            keep: AtomicBool::new(false),
        })
    }

    fn path(&self) -> PathBuf {
        self.private.path()
    }

    /// From now on no file is removed with its result, only by `clear`.
    pub fn keep(&self) {
        self.keep.store(true, Relaxed);
    }

    /// Removes the directory with everything in it.
    pub fn clear(&self) {
        lock(&self.files).directory = None;
        self.private.remove(Directory::remove_tree);
    }

    /// The directory as it was when it was opened, until `clear`.
    fn directory(&self) -> io::Result<Directory> {
        let mut files = lock(&self.files);
        match &files.directory {
            Some(opened) => Ok(opened.clone()),
            None => Ok(files.directory.insert(self.private.existing()?).clone()),
        }
    }

    fn open(&self, name: &OsStr) -> io::Result<File> {
        self.directory()?.open_own(name, OpenMode::Read)
    }

    /// Creates a file that only its owner can read.
    fn create(self: &Arc<Spool>) -> io::Result<(File, SpooledFile)> {
        // Locked, so that removing another file does not remove the directory now.
        let mut files = lock(&self.files);
        let directory = match &files.directory {
            Some(opened) => opened.clone(),
            None => files.directory.insert(self.private.made()?).clone(),
        };
        let (file, place) = loop {
            let place = NamedFile {
                directory: directory.clone(),
                name: format!("output-{}", files.made).into(),
            };
            let made = place.open(OpenMode::New);
            files.made += 1;
            match made {
                Ok(file) => break (file, place),
                // From the run that this one resumes.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(cannot("create", &place.path())(e)),
            }
        };
        files.left += 1;
        let spooled = SpooledFile {
            path: place.path(),
            name: place.name,
            length: 0,
            spool: self.clone(),
        };
        Ok((file, spooled))
    }

    /// Writes to a file of the directory, unless too little of the disk would stay
    /// free. Where the system does not say how much is free, the write does.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let keep_free = self.limits.keep_free;
        let needed = keep_free.saturating_add(bytes.len() as u64);
        if keep_free > 0 && sys::free_space(file.as_fd()).is_ok_and(|free| free < needed) {
            return Err(io::Error::other(format!(
                "less than {} would stay free on the file system of the log directory (keep_free)",
                size::show(keep_free)
            )));
        }
        file.write_all(bytes)
    }

    fn remove(&self, name: &OsStr) {
        if self.keep.load(Relaxed) {
            return;
        }
        let mut files = lock(&self.files);
        if let Some(directory) = &files.directory {
            let _ = directory.remove(name);
        }
        files.left -= 1;
        if files.left == 0 {
            files.directory = None;
            self.private.remove(Directory::remove_empty);
        }
    }
}

/// A stream while its command runs.
pub struct Capture {
    spool: Arc<Spool>,
    memory: Vec<u8>,
    file: Option<(File, SpooledFile)>,
    /// How much of it is kept.
    length: u64,
    /// Up to which byte writing to disk was started.
    written_back: u64,
    /// That the rest was lost, from which byte on, and why.
    lost: Option<String>,
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

    /// Adds the next bytes. What cannot be kept is dropped, so that neither a full disk
    /// nor a bound ever blocks the command.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.lost.is_some() {
            return;
        }
        let most = self.spool.limits.max_output.unwrap_or(u64::MAX);
        let room = most - self.length;
        let fits = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
        if let Err(e) = self.keep(&bytes[..fits]) {
            self.lose(&reason(&e));
        } else if fits < bytes.len() {
            self.lose(&format!(
                "it is longer than max_output ({})",
                size::show(most)
            ));
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() && !self.fits(bytes.len()) {
            self.spill()?;
        }
        match &mut self.file {
            Some((file, spooled)) => {
                let written = self.spool.write(file, bytes);
                written.map_err(cannot("write", &spooled.path))?;
                self.length += bytes.len() as u64;
                if self.length >= self.written_back + WRITEBACK_STEP {
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
                self.length += bytes.len() as u64;
                self.spool
                    .in_memory
                    .fetch_add(self.memory.capacity() - before, Relaxed);
            }
        }
        Ok(())
    }

    fn fits(&self, more: usize) -> bool {
        self.memory.len() + more <= STREAM_MAX
            && self.spool.in_memory.load(Relaxed) + more <= RUN_MAX
    }

    /// Moves the bytes in memory to a file.
    ///
    /// # Errors
    /// That they cannot be written; they stay in memory then.
    fn spill(&mut self) -> io::Result<()> {
        let (mut file, spooled) = self.spool.create()?;
        let written = self.spool.write(&mut file, &self.memory);
        written.map_err(cannot("write", &spooled.path))?;
        let memory = std::mem::take(&mut self.memory);
        self.spool.in_memory.fetch_sub(memory.capacity(), Relaxed);
        self.file = Some((file, spooled));
        Ok(())
    }

    /// Drops what comes from here on, and gives the disk back what nobody will read.
    pub fn lose(&mut self, why: &str) {
        if self.lost.is_some() {
            return;
        }
        let from = self.length;
        self.lost = Some(format!("output lost after {from} bytes: {why}"));
        if let Some((file, _)) = &self.file {
            self.length = from.min(STREAM_MAX as u64);
            // The write that failed may have written a part. If this fails too, the
            // file is longer than what is read of it.
            let _ = file.set_len(self.length);
        }
    }

    /// What is kept of the stream, and whether that is all of it.
    pub fn finish(mut self) -> Captured {
        let kept = match self.file.take() {
            Some((_, mut spooled)) => {
                spooled.length = self.length;
                Kept::File(Arc::new(spooled))
            }
            None => {
                let before = self.memory.capacity();
                let mut bytes = std::mem::take(&mut self.memory);
                bytes.shrink_to_fit();
                self.spool.in_memory.fetch_sub(before, Relaxed);
                Kept::budgeted(bytes, &self.spool)
            }
        };
        Captured {
            kept,
            lost: self.lost.take().map(Arc::from),
        }
    }
}

/// A stream of a finished command. Copies share the bytes.
#[derive(Clone)]
pub struct Captured {
    kept: Kept,
    /// That it is not the whole output, and why.
    lost: Option<Arc<str>>,
}

#[derive(Clone)]
enum Kept {
    Memory(Arc<MemoryBytes>),
    File(Arc<SpooledFile>),
}

impl Kept {
    fn budgeted(bytes: Vec<u8>, spool: &Arc<Spool>) -> Kept {
        spool.in_memory.fetch_add(bytes.capacity(), Relaxed);
        Kept::Memory(Arc::new(MemoryBytes {
            bytes,
            spool: Some(spool.clone()),
        }))
    }
}

/// Where the bytes of a stream are.
pub enum Held<'a> {
    Memory(&'a [u8]),
    File(&'a SpooledFile),
}

/// The beginning of a stream, without trailing newlines if it is all of it.
pub struct StreamText<'a> {
    pub bytes: Cow<'a, [u8]>,
    /// How long the whole is, without trailing newlines.
    pub whole: u64,
}

impl StreamText<'_> {
    pub fn is_whole(&self) -> bool {
        self.bytes.len() as u64 == self.whole
    }
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
    /// In the private directory.
    name: OsString,
    /// For a command that is to read it.
    path: PathBuf,
    length: u64,
    spool: Arc<Spool>,
}

impl Drop for SpooledFile {
    fn drop(&mut self) {
        self.spool.remove(&self.name);
    }
}

impl Captured {
    /// Bytes that do not come from a command, and do not count against the budget.
    pub fn in_memory(text: impl Into<Vec<u8>>) -> Captured {
        Captured {
            kept: Kept::Memory(Arc::new(MemoryBytes {
                bytes: text.into(),
                spool: None,
            })),
            lost: None,
        }
    }

    /// A stream that an earlier process spooled.
    ///
    /// # Errors
    /// One sentence: its file is gone, is not the user's or has another length.
    pub fn spooled(name: OsString, length: u64, spool: &Arc<Spool>) -> Result<Captured, String> {
        let path = spool.path().join(&name);
        let about = spool.open(&name).and_then(|file| file.metadata());
        let why = match about {
            Ok(about) if about.len() == length => None,
            Ok(_) => Some("has changed".into()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Some("is gone; tasker removes it only with the journal".into())
            }
            Err(e) => Some(format!("cannot be used: {}", reason(&e))),
        };
        if let Some(why) = why {
            let path = printable(&path.display().to_string());
            return Err(format!("the output that it keeps in `{path}` {why}"));
        }
        Ok(Captured {
            kept: Kept::File(Arc::new(SpooledFile {
                path,
                name,
                length,
                spool: spool.clone(),
            })),
            lost: None,
        })
    }

    /// The same bytes as a part of an output that was lost, and why.
    pub fn with_loss(self, lost: &str) -> Captured {
        Captured {
            lost: Some(lost.into()),
            ..self
        }
    }

    /// `output lost after N bytes: REASON` if it is not the whole output.
    pub fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// The same bytes for another run, whose directory gets a copy of a spooled file.
    ///
    /// # Errors
    /// That the file cannot be copied; the message names it.
    pub fn adopt(&self, spool: &Arc<Spool>) -> io::Result<Captured> {
        let Kept::File(file) = &self.kept else {
            return Ok(self.clone());
        };
        let failed = cannot("keep the output", &file.path);
        let (mut copy, mut spooled) = spool.create().map_err(&failed)?;
        // Not a second name of the same file: such a one is not trusted.
        let copied = file
            .open()
            .and_then(|mut from| io::copy(&mut from, &mut copy));
        copied.map_err(&failed)?;
        spooled.length = file.length;
        Ok(Captured {
            kept: Kept::File(Arc::new(spooled)),
            lost: self.lost.clone(),
        })
    }

    /// Syncs a spooled stream to disk.
    ///
    /// # Errors
    /// That its file cannot be synced; the message names it.
    pub fn sync(&self) -> io::Result<()> {
        match &self.kept {
            Kept::Memory(_) => Ok(()),
            Kept::File(file) => (file.spool.open(&file.name))
                .and_then(|f| f.sync_data())
                .map_err(cannot("sync the output", &file.path)),
        }
    }

    /// The length in bytes, without output that was lost.
    pub fn len(&self) -> u64 {
        match &self.kept {
            Kept::Memory(kept) => kept.bytes.len() as u64,
            Kept::File(file) => file.length,
        }
    }

    /// Where its bytes are.
    pub fn held(&self) -> Held<'_> {
        match &self.kept {
            Kept::Memory(kept) => Held::Memory(&kept.bytes),
            Kept::File(file) => Held::File(file),
        }
    }

    /// The file it is spooled to; `None` if it is in memory.
    pub fn path(&self) -> Option<&Path> {
        match self.held() {
            Held::Memory(_) => None,
            Held::File(file) => Some(&file.path),
        }
    }

    /// At most `most` bytes of the text without trailing newlines (SPEC §2.1).
    ///
    /// # Errors
    /// That the file of a spooled stream cannot be read to its end.
    pub fn beginning(&self, most: usize) -> io::Result<StreamText<'_>> {
        match &self.kept {
            Kept::Memory(kept) => {
                let whole = trim(&kept.bytes);
                Ok(StreamText {
                    bytes: Cow::Borrowed(&whole[..most.min(whole.len())]),
                    whole: whole.len() as u64,
                })
            }
            Kept::File(file) => file.beginning(most),
        }
    }

    /// The length without trailing newlines; that with them if its file cannot be read.
    pub fn trimmed_len(&self) -> u64 {
        self.beginning(0).map_or(self.len(), |text| text.whole)
    }

    /// At most the first `limit` bytes.
    pub fn head(&self, limit: usize) -> Cow<'_, [u8]> {
        match &self.kept {
            Kept::Memory(kept) => Cow::Borrowed(&kept.bytes[..limit.min(kept.bytes.len())]),
            Kept::File(file) => Cow::Owned(read_part(file, 0, limit)),
        }
    }

    /// At most the last `limit` bytes.
    pub fn tail(&self, limit: usize) -> Cow<'_, [u8]> {
        let from = self.len().saturating_sub(limit as u64);
        match &self.kept {
            Kept::Memory(kept) => Cow::Borrowed(&kept.bytes[from as usize..]),
            Kept::File(file) => Cow::Owned(read_part(file, from, limit)),
        }
    }

    /// Whether it contains these bytes. Does not load a spooled stream as a whole.
    ///
    /// # Errors
    /// That its file cannot be read to its end.
    pub fn contains(&self, needle: &[u8]) -> io::Result<bool> {
        let mut search = StreamSearch::new(needle);
        self.chunks(&mut |chunk| !search.feed(chunk))?;
        Ok(search.has_found())
    }

    /// The number of lines. The last one does not need a newline.
    ///
    /// # Errors
    /// That its file cannot be read to its end.
    pub fn lines(&self) -> io::Result<u64> {
        let (mut lines, mut last) = (0, b'\n');
        self.chunks(&mut |chunk| {
            lines += chunk.iter().filter(|b| **b == b'\n').count() as u64;
            last = chunk.last().copied().unwrap_or(last);
            true
        })?;
        Ok(lines + u64::from(last != b'\n'))
    }

    /// Passes the text without trailing newlines to `take`, as `chunks` does.
    ///
    /// # Errors
    /// That its file cannot be read to its end.
    pub fn text_chunks(&self, take: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
        match &self.kept {
            Kept::Memory(kept) => {
                take(trim(&kept.bytes));
                Ok(())
            }
            Kept::File(file) => file.chunks(file.whole_length()?, take),
        }
    }

    /// A part of the stream. It can be as large as the whole, so it is kept as that is.
    ///
    /// # Errors
    /// That its file cannot be read.
    pub fn part(&self, place: Range<u64>) -> io::Result<Captured> {
        let file = match &self.kept {
            Kept::Memory(kept) => {
                let part = &kept.bytes[place.start as usize..place.end as usize];
                return Ok(Captured::in_memory(part));
            }
            Kept::File(file) => file,
        };
        let mut part = Capture::new(&file.spool);
        let mut seen = 0;
        file.chunks(place.end, &mut |chunk| {
            let from = place.start.saturating_sub(seen).min(chunk.len() as u64);
            part.push(&chunk[from as usize..]);
            seen += chunk.len() as u64;
            true
        })?;
        Ok(part.finish())
    }

    /// Passes the stream to `take` piece by piece, as long as it returns true.
    ///
    /// # Errors
    /// That its file cannot be read to its end.
    pub fn chunks(&self, take: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
        match &self.kept {
            Kept::Memory(kept) => {
                take(&kept.bytes);
                Ok(())
            }
            Kept::File(file) => file.chunks(file.length, take),
        }
    }
}

impl SpooledFile {
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// Opens it, to be read to its end.
    ///
    /// # Errors
    /// That it cannot be opened, or is not as long as it was.
    pub fn open(&self) -> io::Result<File> {
        let open = || {
            let file = self.spool.open(&self.name)?;
            match file.metadata()?.len() < self.length {
                true => Err(too_short()),
                false => Ok(file),
            }
        };
        open().map_err(|e| self.about(&e))
    }

    /// Names the file.
    fn about(&self, e: &io::Error) -> io::Error {
        let path = printable(&self.path.display().to_string());
        io::Error::new(e.kind(), format!("`{path}`: {}", reason(e)))
    }

    /// Passes its first `length` bytes to `take`, as long as it returns true.
    fn chunks(&self, length: u64, take: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
        self.read_chunks(length, take).map_err(|e| self.about(&e))
    }

    fn read_chunks(&self, length: u64, take: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
        let mut file = self.spool.open(&self.name)?.take(length);
        let mut buffer = vec![0; BLOCK];
        loop {
            match file.read(&mut buffer) {
                Ok(0) if file.limit() > 0 => return Err(too_short()),
                Ok(0) => return Ok(()),
                Ok(length) if !take(&buffer[..length]) => return Ok(()),
                Err(e) if e.kind() != io::ErrorKind::Interrupted => return Err(e),
                _ => {}
            }
        }
    }

    fn beginning(&self, most: usize) -> io::Result<StreamText<'static>> {
        let whole = self.whole_length()?;
        let mut bytes = Vec::new();
        self.chunks(whole.min(most as u64), &mut |chunk| {
            bytes.extend_from_slice(chunk);
            true
        })?;
        Ok(StreamText {
            bytes: Cow::Owned(bytes),
            whole,
        })
    }

    /// How long it is without trailing newlines.
    fn whole_length(&self) -> io::Result<u64> {
        self.trimmed_length().map_err(|e| self.about(&e))
    }

    fn trimmed_length(&self) -> io::Result<u64> {
        let mut file = self.spool.open(&self.name)?;
        let mut end = self.length;
        let mut buffer = vec![0; BLOCK];
        while end > 0 {
            let length = end.min(BLOCK as u64);
            let block = &mut buffer[..length as usize];
            file.seek(SeekFrom::Start(end - length))?;
            file.read_exact(block).map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof => too_short(),
                _ => e,
            })?;
            match trim(block).len() {
                0 => end -= length,
                kept => return Ok(end - length + kept as u64),
            }
        }
        Ok(0)
    }
}

fn too_short() -> io::Error {
    io::Error::other("its file is shorter than it was")
}

fn read_part(from_file: &SpooledFile, from: u64, limit: usize) -> Vec<u8> {
    let mut out = Vec::new();
    if let Ok(mut file) = from_file.spool.open(&from_file.name)
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
        let directory =
            std::env::temp_dir().join(format!("tasker-capture-{}-{name}", std::process::id()));
        Spool::in_directory(&directory.to_string_lossy())
    }

    fn spooled(captured: &Captured) -> &SpooledFile {
        match captured.held() {
            Held::File(file) => file,
            Held::Memory(_) => panic!("it is in memory"),
        }
    }

    #[test]
    fn a_small_stream_stays_in_memory_and_a_large_one_is_spooled() {
        let spool = spool("much");
        let mut capture = Capture::new(&spool);
        capture.push(b"a\nb\n\n");
        let little = capture.finish();
        assert!(little.lost().is_none() && little.path().is_none());
        let text = little.beginning(9).expect("in memory");
        assert!(text.is_whole() && *text.bytes == *b"a\nb");
        assert_eq!((little.lines().ok(), little.len()), (Some(3), 5));

        let mut capture = Capture::new(&spool);
        for _ in 0..40 {
            capture.push(&[b'x'; 65_536]);
        }
        capture.push(b"the needle");
        let much = capture.finish();
        let path = much.path().map(Path::to_path_buf).unwrap_or_default();
        assert!(path.exists());
        assert_eq!(much.len(), 40 * 65_536 + 10);
        let contains = |needle: &[u8]| much.contains(needle).expect("a file");
        assert!(contains(b"xthe needle") && !contains(b"needles"));
        assert_eq!(much.lines().ok(), Some(1));
        assert_eq!(
            (much.tail(6).as_ref(), much.head(2).as_ref()),
            (&b"needle"[..], &b"xx"[..])
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
            kept.push(capture.finish());
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
        let captured = capture.finish();
        let contains = |needle: &[u8]| captured.contains(needle).expect("a file");
        assert!(contains(&text[65_530..65_545]) && contains(b"END"));
        assert!(!contains(b"ENDE"));
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error_and_not_less_data() {
        let spool = spool("short");
        let mut capture = Capture::new(&spool);
        (0..40).for_each(|_| capture.push(&[b'\n'; 65_536]));
        let captured = capture.finish();
        assert_eq!(captured.beginning(9).expect("a file").whole, 0);
        let path = captured.path().expect("spooled").to_path_buf();
        let file = File::options().write(true).open(&path);
        file.and_then(|f| f.set_len(100)).expect("a shorter file");
        let failures = [
            captured.beginning(9).err(),
            captured.lines().err(),
            captured.contains(b"x").err(),
            spooled(&captured).open().err(),
        ];
        for failure in failures {
            let why = failure.map(|e| e.to_string()).unwrap_or_default();
            let expected = format!("`{}`: its file is shorter than it was", path.display());
            assert_eq!(why, expected);
        }
    }

    #[test]
    fn what_is_beyond_a_bound_is_lost_and_the_disk_is_given_back() {
        let limits = OutputLimits {
            keep_free: 0,
            max_output: Some(3_000_000),
        };
        let private = spool("bound").private.clone();
        let spool = Spool::bounded(private, limits);
        let mut capture = Capture::new(&spool);
        (0..60).for_each(|_| capture.push(&[b'x'; 65_536]));
        let captured = capture.finish();
        let lost = captured.lost().unwrap_or_default();
        assert!(
            lost.starts_with("output lost after 3000000 bytes: it is longer than max_output"),
            "{lost}"
        );
        let path = captured.path().expect("spooled");
        let kept = std::fs::metadata(path).map(|m| m.len());
        assert_eq!((captured.len(), kept.ok()), (1 << 20, Some(1 << 20)));
    }
}
