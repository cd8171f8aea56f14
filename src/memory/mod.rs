//! Elements on their way between a chunk's image and a strided array: selection, transposition and byte order in one
//! pass, fill values, the test for emptiness, and the per-thread buffers that images live in. Elements are opaque bytes.
//! Addresses stay in here: what is made of one vouches for it once, and every copy is checked against it, so that those
//! who plan and decode need no `unsafe`. Leaves out what a shape means, and the errors of a selection.

mod axes;
mod block_transpose;
mod borrowed;
mod element;
mod equality;
mod fill;
mod kernels;
mod out_bytes;
mod references;
mod scratch;
mod strided;
mod transpose;
mod view;

#[cfg(test)]
mod tests;

pub use axes::{CopyAxis, Walk};
pub use borrowed::BorrowedBytes;
pub use element::{Element, Swap, swap_in_place, swapped};
pub use equality::{Equality, Field, FillTest, Leaf, is_empty};
pub use fill::repeat;
pub use out_bytes::OutBytes;
pub use references::{REFERENCE, Reference, References, Referrer, TextArena, ValidReferences};
pub use scratch::{DecodedChunk, Scratch, Slot};
pub use view::{SharedView, View};
