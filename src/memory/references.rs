//! Elements of variable length as elements of a fixed one: a *reference* says where the bytes are and how many. Images,
//! views, fills and copies then work as for any other element. Owns the only code that follows a reference.
//! Leaves out how text is stored (`codec/array_to_bytes/vlen.rs`) and Python's objects.
#![allow(unsafe_code)] // A reference is an address; who makes an engine of them vouches for it once.

use std::slice;
use std::sync::{Arc, Mutex, PoisonError};

use super::element::{Element, Swap};
use super::scratch::zeroed;
use super::view::SharedView;
use crate::error::{Error, Kind, Result};

/// Bytes of one reference in an image.
pub const REFERENCE: usize = 16;

/// Where the bytes of one element are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Address of the first byte; 0 for the two references to nothing.
    address: u64,
    /// Number of bytes.
    len: u64,
}

impl Reference {
    /// What nothing was written to: zeros, as fresh memory is.
    pub const UNTOUCHED: Self = Self { address: 0, len: 0 };
    /// Python's `None` in a value: stored without bytes, but equal to no fill value.
    pub const ABSENT: Self = Self { address: 0, len: 1 };

    /// A reference to `bytes`.
    pub fn to(bytes: &[u8]) -> Self {
        Self { address: bytes.as_ptr().expose_provenance() as u64, len: bytes.len() as u64 }
    }

    /// The reference at byte `at` of an image.
    pub fn read(image: &[u8], at: usize) -> Self {
        let half = |at: usize| u64::from_ne_bytes(image[at..at + 8].try_into().expect("eight bytes"));
        Self { address: half(at), len: half(at + 8) }
    }

    /// Writes it to byte `at` of an image.
    pub fn write(self, image: &mut [u8], at: usize) {
        image[at..at + REFERENCE].copy_from_slice(&self.bytes());
    }

    /// Its form in an image.
    pub fn bytes(self) -> [u8; REFERENCE] {
        let mut bytes = [0; REFERENCE];
        bytes[..8].copy_from_slice(&self.address.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.len.to_ne_bytes());
        bytes
    }

    /// The bytes it refers to, if they are a part of `text`.
    pub fn within(self, text: &[u8]) -> Option<&[u8]> {
        let start = usize::try_from(self.address).ok()?.checked_sub(text.as_ptr().addr())?;
        text.get(start..start.checked_add(usize::try_from(self.len).ok()?)?)
    }
}

/// The word of whoever makes an engine of references: its images hold references to bytes that are there.
#[derive(Clone, Copy, Debug)]
pub struct ValidReferences(());

impl ValidReferences {
    /// The word itself.
    ///
    /// # Safety
    /// Every image that is handed to [`ValidReferences::text`] consists of what [`Reference::bytes`] gave, each of them untouched,
    /// absent, or made by [`Reference::to`] of bytes that stay as they are for as long as the image is used: a stored
    /// chunk's in [`TextArena`], a value's in [`References`], the fill value's in the engine.
    pub unsafe fn new() -> Self {
        Self(())
    }

    /// The bytes of every element of `image`, `None` for an absent one.
    pub fn text(self, image: &[u8]) -> impl Iterator<Item = Option<&[u8]>> + Clone {
        image.chunks_exact(REFERENCE).map(|one| {
            let reference = Reference::read(one, 0);
            if reference == Reference::ABSENT {
                return None;
            }
            // SAFETY: as the maker of this word vouches.
            Some(unsafe { follow(reference) })
        })
    }
}

/// The bytes that a reference points to; none for the references to nothing.
///
/// # Safety
/// They are there, and stay as they are for `'a`.
unsafe fn follow<'a>(reference: Reference) -> &'a [u8] {
    if reference.address == 0 {
        return &[];
    }
    let start = std::ptr::with_exposed_provenance(reference.address as usize);
    // SAFETY: made by `Reference::to` of a slice of this length, which the caller vouches is still there.
    unsafe { slice::from_raw_parts(start, reference.len as usize) }
}

/// Decoded chunks to which references point, until it is dropped.
#[derive(Debug, Default)]
pub struct TextArena(Mutex<Vec<Vec<u8>>>);

impl TextArena {
    /// Keeps `buffer`, whose bytes stay at their address.
    pub fn keep(&self, buffer: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

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
// vouches that nobody writes; the blocks are never written once others can see them.
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
    /// Nobody writes the references any more, and the bytes are there for as long as the result is used.
    pub unsafe fn get(&self, at: usize) -> Option<&[u8]> {
        assert!(at < self.len(), "element {at} of {} references", self.len());
        // SAFETY: inside the cells by the assertion; nobody writes them.
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
