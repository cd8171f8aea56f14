//! The one error of the engine: what failed, for which chunk, and which Python exception it is.
//! No Python here: `bindings/errors.rs` turns a [`Kind`] into an exception class.

use std::fmt;
use std::io;

/// What the rest of the crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// The exception class that zarr-python's own pipeline raises for the same cause.
#[derive(Debug)]
pub enum Kind {
    /// `ValueError`: a wrong length, a checksum that does not match, values that do not broadcast.
    Value,
    /// `ValueError`: more bytes than somebody let in, who may let in more.
    TooLong,
    /// `TypeError`.
    Type,
    /// `OverflowError`: an integer that its place cannot hold.
    Overflow,
    /// `IndexError`: a selection outside the array.
    Index,
    /// `RuntimeError`: a compressor refused the bytes (numcodecs raises this for blosc and zstd).
    Runtime,
    /// `EOFError`: a gzip stream ends before its end marker.
    Eof,
    /// `gzip.BadGzipFile`: not gzip, or its trailer does not match.
    BadGzip,
    /// `zipfile.BadZipFile`: a damaged archive, or an entry whose checksum does not match.
    BadZip,
    /// `zlib.error`: a damaged deflate stream.
    Zlib,
    /// `lzma.LZMAError`: a damaged xz or LZMA stream, or options that liblzma refuses.
    Lzma,
    /// `UnicodeDecodeError`: text that is not UTF-8; these are its bytes.
    Utf8(Vec<u8>),
    /// `MemoryError`.
    Memory,
    /// `OSError` or the subclass that its number selects.
    Io(io::Error),
    /// The call was cancelled before this unit started; never shown to a user.
    Cancelled,
    /// A codec gave nothing for a chunk: it is not stored, or counts as missing; never shown to a user.
    Dropped,
    /// An exception that Python code raised; it passes through whole (`bindings/` knows its type).
    Python(Box<dyn std::any::Any + Send + Sync>),
}

/// What failed: the class, the message with its numbers, and the chunk key where one is known.
#[derive(Debug)]
pub struct Error {
    /// Which exception this becomes.
    pub kind: Kind,
    /// What went wrong, with both numbers.
    pub message: String,
    /// The chunk key, as the store sees it.
    pub key: Option<String>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), key: None }
    }

    /// A `ValueError`.
    pub fn value(message: impl Into<String>) -> Self {
        Self::new(Kind::Value, message)
    }

    /// A `RuntimeError`.
    pub fn runtime(message: impl Into<String>) -> Self {
        Self::new(Kind::Runtime, message)
    }

    /// An `OSError` from `source`; `action` says what was tried ("read", "rename").
    pub fn io(action: &str, source: io::Error) -> Self {
        Self { message: format!("{action}: {source}"), kind: Kind::Io(source), key: None }
    }

    /// The same error, naming the chunk `key` unless an inner layer already named one.
    #[must_use]
    pub fn with_key(mut self, key: &str) -> Self {
        self.key.get_or_insert_with(|| key.to_owned());
        self
    }
}

/// What there is of `outcome`; false where a codec gave nothing.
///
/// # Errors
/// All but [`Kind::Dropped`].
pub fn unless_dropped(outcome: Result<()>) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(Error { kind: Kind::Dropped, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "chunk {key}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::Io(source) => Some(source),
            _ => None,
        }
    }
}
