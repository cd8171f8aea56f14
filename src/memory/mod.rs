//! Elements on their way between a chunk's image and a strided array: selection, transposition and byte order in one
//! pass, fill values, the test for emptiness, and the per-thread buffers that images live in. Elements are opaque bytes.
//! Addresses stay in here: what is made of one vouches for it once, and every copy is checked against it, so that those
//! who plan and decode need no `unsafe`. Leaves out what a shape means, and the errors of a selection.

mod axes;
mod element;
mod empty;
mod fill;
mod held;
mod movers;
mod place;
mod references;
mod scratch;
mod squares;
mod strided;
mod transpose;
mod view;

#[cfg(test)]
mod tests;

pub use axes::{CopyAxis, Walk};
pub use element::{Element, Swap, swap_in_place, swapped};
pub use empty::{EmptyRule, Field, Leaf, Same, is_empty};
pub use fill::repeat;
pub use held::Held;
pub use place::Place;
pub use references::{Kept, REFERENCE, Reference, References, Referrer, Vouched};
pub use scratch::{Image, Scratch};
pub use view::{Shared, View};
