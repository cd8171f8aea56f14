//! The engine's one error type: what failed, for which chunk, and which Python exception it becomes.
//! No Python here: `bindings/errors.rs` turns a [`Kind`] into an exception class.

use std::fmt;
use std::io;

/// The result type of the whole crate.
pub type Result<T> = std::result::Result<T, Error>;

/// The exception class that zarr-python's own pipeline raises for the same cause.
#[derive(Debug)]
pub enum Kind {
    /// `ValueError`: a wrong length, a checksum that does not match, values that do not broadcast.
    Value,
    /// `ValueError`: the output exceeds the caller's limit; the caller may retry with a larger one.
    TooLong,
    /// `TypeError`.
    Type,
    /// `OverflowError`: an integer that its data type cannot hold.
    Overflow,
    /// `IndexError`: a selection outside the array.
    Index,
    /// `RuntimeError`: a codec refused the bytes (numcodecs raises this class for blosc and zstd).
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
    /// `UnicodeDecodeError`: text that is not UTF-8; holds the bytes of the element.
    Utf8(Vec<u8>),
    /// `MemoryError`.
    Memory,
    /// `OSError`, or the subclass that its `errno` selects.
    Io(io::Error),
    /// The call was cancelled before this piece of work started; never shown to a user.
    Cancelled,
    /// A codec returned nothing for a chunk: it is not stored, or counts as missing; never shown to a user.
    Dropped,
    /// An exception that Python code raised; it passes through unchanged (`bindings/` knows its type).
    Python(Box<dyn std::any::Any + Send + Sync>),
}

/// What failed: the class, the message with its numbers, and the chunk key if one is known.
#[derive(Debug)]
pub struct Error {
    /// Which exception this becomes.
    pub kind: Kind,
    /// What went wrong, naming both the actual and the expected number.
    pub message: String,
    /// The chunk key, as the store sees it.
    pub key: Option<String>,
}

impl Error {
    /// An error of `kind` with `message`.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), key: None }
    }

    /// A `ValueError`.
    pub(crate) fn value(message: impl Into<String>) -> Self {
        Self::new(Kind::Value, message)
    }

    /// A `RuntimeError`.
    pub(crate) fn runtime(message: impl Into<String>) -> Self {
        Self::new(Kind::Runtime, message)
    }

    /// An `OSError` from `source`; `action` names what was attempted ("read", "rename").
    pub(crate) fn io(action: &str, source: io::Error) -> Self {
        Self { message: format!("{action}: {source}"), kind: Kind::Io(source), key: None }
    }

    /// The same error, naming the chunk `key` unless an inner layer has already named one.
    #[must_use]
    pub(crate) fn with_key(mut self, key: &str) -> Self {
        self.key.get_or_insert_with(|| key.to_owned());
        self
    }
}

/// Whether `outcome` produced the chunk: false if a codec returned nothing for it.
///
/// # Errors
/// Every error but [`Kind::Dropped`].
pub(crate) fn unless_dropped(outcome: Result<()>) -> Result<bool> {
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
