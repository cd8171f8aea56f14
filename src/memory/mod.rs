//! Elements on their way between a decoded chunk and a strided array: selection, transposition and byte order in one
//! pass, fill values, the test for emptiness, and the per-thread buffers that decoded chunks live in. Elements are
//! opaque bytes.
//! Addresses stay in here: what is made of one vouches for it once, and every copy is checked against it, so that those
//! who plan and decode need no `unsafe`. Leaves out what a shape means, and the errors of a selection.

mod borrowed;
mod copy;
mod decoded_chunk;
mod element;
mod emptiness;
mod equality;
mod out_bytes;
mod references;
mod scratch;
mod shared_view;
mod view;

#[cfg(test)]
mod tests;

pub use borrowed::BorrowedBytes;
pub use copy::{CopyAxis, Walk, repeat};
pub use decoded_chunk::DecodedChunk;
pub use element::{Element, Swap, swap_in_place, swapped};
pub use emptiness::{FillTest, is_empty};
pub use equality::{Equality, Field, Leaf};
pub use out_bytes::OutBytes;
pub use references::{REFERENCE, Reference, References, Referrer, TextArena, ValidReferences};
pub use scratch::{Scratch, Slot};
pub use shared_view::SharedView;
pub use view::View;
