//! Arrays of references, which own the text that was copied for them.
#![allow(unsafe_code)] // The references are shared by address.

use std::sync::Arc;

use super::{REFERENCE, Reference, follow};
use crate::error::{Error, Kind, Result};
use crate::memory::decoded_chunk::zeroed;
use crate::memory::element::{Element, Swap};
use crate::memory::shared_view::SharedView;

/// Bytes of one block of copied text: enough that few are needed, little enough to waste one.
const BLOCK: usize = 1 << 18;

/// An array of references in C order, and the text that it owns.
#[derive(Debug)]
pub struct References {
    /// First byte of `cells`, which is only ever touched through it.
    start: *mut u8,
    cells: Vec<u8>,
    /// Text in blocks that never grow, so that none of it ever moves.
    _blocks: Vec<Vec<u8>>,
}

// SAFETY: the cells are reached through `SharedView`, whose users keep to their own elements, and by `get`, whose caller
// guarantees that no thread writes; the blocks are never written once another thread can see them.
unsafe impl Send for References {}
// SAFETY: as above.
unsafe impl Sync for References {}

impl References {
    /// `len` untouched references.
    ///
    /// # Errors
    /// `Memory` if there is no room.
    pub fn untouched(len: usize) -> Result<Self> {
        let bytes = len.checked_mul(REFERENCE).ok_or_else(|| no_room(usize::MAX))?;
        let cells = if bytes == 0 { Vec::new() } else { zeroed(bytes).ok_or_else(|| no_room(bytes))? };
        Ok(Self::of(cells, Vec::new()))
    }

    fn of(mut cells: Vec<u8>, blocks: Vec<Vec<u8>>) -> Self {
        Self { start: cells.as_mut_ptr(), cells, _blocks: blocks }
    }

    /// Number of references.
    pub fn len(&self) -> usize {
        self.cells.len() / REFERENCE
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The bytes of element `at`; `None` if nothing was written to it.
    ///
    /// # Safety
    /// No thread writes the references any more, and the bytes are there for as long as the result is used.
    pub unsafe fn get(&self, at: usize) -> Option<&[u8]> {
        assert!(at < self.len(), "element {at} of {} references", self.len());
        // SAFETY: inside the cells by the assertion; no thread writes them, as the caller guarantees.
        let bytes = unsafe { self.start.add(at * REFERENCE).cast::<[u8; REFERENCE]>().read() };
        let reference = Reference::read(&bytes, 0);
        if reference == Reference::UNTOUCHED {
            return None;
        }
        // SAFETY: as the caller vouches.
        Some(unsafe { follow(reference) })
    }
}

impl SharedView {
    /// `references` as an array with these strides in bytes, which keeps them alive.
    pub fn references(references: Arc<References>, strides: Vec<isize>, writable: bool) -> Self {
        let (start, len) = (references.start, references.cells.len());
        let element = Element { size: REFERENCE, swap: Swap::None };
        // SAFETY: the cells are there for as long as `references` lives, and nothing refers to them but views.
        unsafe { Self::owned(start, len, strides, element, writable, references) }
    }
}

/// Makes the references of a value, in C order.
#[derive(Debug, Default)]
pub struct Referrer {
    cells: Vec<u8>,
    blocks: Vec<Vec<u8>>,
}

impl Referrer {
    /// Room for `len` references.
    ///
    /// # Errors
    /// `Memory` if there is none.
    pub fn with_capacity(len: usize) -> Result<Self> {
        let bytes = len.checked_mul(REFERENCE).ok_or_else(|| no_room(usize::MAX))?;
        let mut cells = Vec::new();
        cells.try_reserve_exact(bytes).map_err(|_| no_room(bytes))?;
        Ok(Self { cells, blocks: Vec::new() })
    }

    /// Adds a copy of `text`.
    ///
    /// # Errors
    /// `Memory` if there is no room.
    pub fn copy(&mut self, text: &[u8]) -> Result<()> {
        let fits = self.blocks.last().is_some_and(|block| block.capacity() - block.len() >= text.len());
        if !fits {
            let mut block = Vec::new();
            let room = text.len().max(BLOCK);
            block.try_reserve_exact(room).map_err(|_| no_room(room))?;
            self.blocks.push(block);
        }
        let block = self.blocks.last_mut().expect("pushed if there was none");
        let start = block.len();
        // Within the capacity: what was copied before stays where it is.
        block.extend_from_slice(text);
        let reference = Reference::to(&block[start..]);
        self.push(reference);
        Ok(())
    }

    /// Adds a reference to `text` itself.
    ///
    /// # Safety
    /// The bytes stay as they are for as long as the references are used.
    pub unsafe fn refer(&mut self, text: &[u8]) {
        self.push(Reference::to(text));
    }

    /// Adds an absent element.
    pub fn absent(&mut self) {
        self.push(Reference::ABSENT);
    }

    fn push(&mut self, reference: Reference) {
        self.cells.extend_from_slice(&reference.bytes());
    }

    /// The references.
    pub fn finish(self) -> References {
        References::of(self.cells, self.blocks)
    }
}

fn no_room(bytes: usize) -> Error {
    Error::new(Kind::Memory, format!("cannot allocate {bytes} bytes for text"))
}
