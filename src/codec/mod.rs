//! Codec chains: the steps between one chunk of an array and its stored bytes. No threads, no stores, no Python.
//!
//! A chain is array-to-array codecs, then one array-to-bytes codec, then bytes-to-bytes codecs (Zarr v3 core
//! specification, "Codecs"). A transposition permutes strides and needs no pass over the data. All other array-to-array
//! codecs work on the flat elements in stored order, so they are steps before the bytes-to-bytes codecs.

mod chain;
mod cost;
mod output;
mod step;

pub mod array_to_array;
pub mod array_to_bytes;
pub mod bytes_to_bytes;
pub mod parameters;
pub mod table;

pub use chain::{Chain, Serializer};
pub use cost::Cost;
pub use output::copy_exactly;
pub use step::{PythonCall, Step};

pub(crate) use step::wrong_length;
