//! What all chunks of an array have in common.

use crate::codec::Chain;
use crate::memory::FillTest;

/// How the chunks of an array are stored: the codec chain, the size of an element, the fill value. Immutable and shared.
#[derive(Debug)]
pub struct ChunkFormat {
    /// The chunk's steps.
    pub chain: Chain,
    /// Bytes in one element.
    pub item_size: usize,
    /// One element of the fill value, in stored byte order; for elements of variable length a reference to
    /// [`VlenFill::bytes`].
    pub fill: Vec<u8>,
    /// For elements of variable length, which decoded chunks hold as references.
    pub vlen: Option<VlenFill>,
    /// When a chunk counts as empty.
    pub empty: FillTest,
}

/// The fill value of elements of variable length.
#[derive(Debug)]
pub struct VlenFill {
    /// Its bytes.
    pub bytes: Box<[u8]>,
    /// Whether elements are text rather than bytes.
    pub utf8: bool,
}

impl ChunkFormat {
    /// The size of an element, for messages: "of 8 bytes".
    pub fn item_words(&self) -> String {
        match self.vlen {
            None => format!("of {} bytes", self.item_size),
            Some(_) => "of variable length".to_owned(),
        }
    }

    /// Whether the length of a stored chunk cannot be bounded by the length of the decoded one: variable-length elements,
    /// and steps implemented in Python.
    pub fn has_unbounded_length(&self) -> bool {
        self.vlen.is_some() || self.chain.python_call().is_some()
    }
}
