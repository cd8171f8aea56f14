//! Copies and fills along strided axes, by address: the callers check every address first.

mod axes;
mod fill;
mod kernels;
mod loop_nest;
mod tiles;
mod walk;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(test)]
pub(super) mod tests;

pub use axes::{CopyAxis, Walk};
pub(super) use fill::fill;
pub use fill::repeat;
pub(super) use walk::copy;
