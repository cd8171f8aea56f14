//! Array-to-array codecs. A transposition is a permutation of strides; all others are steps over the flat elements in
//! stored order, and precede the bytes-to-bytes codecs of a chain.

mod convert;
mod flat;
mod number;

pub mod astype;
pub mod bitround;
pub mod cast_value;
pub mod delta;
pub mod fixed_scale_offset;
pub mod packbits;
pub mod quantize;
pub mod scale_offset;
pub mod swap;
pub mod transpose;

pub use flat::Flat;
pub use number::{Number, Side};

pub(super) use convert::converter;
pub(super) use number::{Numeric, with_number};
