//! A batch of projections, read into one array or written from one. No Python, no knowledge of zarr's objects.
//!
//! A batch is read or written in one of two ways: from and to a native store, whose bytes threads fetch where they need them
//! (`store_read`, `store_write`); or with bytes that the caller fetches and stores (`fed_read`, `fed_write`). `plan` decides
//! for both which bytes are needed; `read` and `write` know neither.
#![forbid(unsafe_code)]

mod batch;
mod cells;
pub mod decode;
pub mod encode;
mod estimate;
pub mod fed_read;
pub mod fed_write;
mod format;
mod layout;
mod partial;
mod placement;
pub mod plan;
pub mod read;
pub mod requests;
mod shard;
pub mod store_read;
pub mod store_write;
pub mod units;
mod vlen;
pub mod write;

pub use batch::{Batch, BatchBuilder, Chunk, ChunkSpec, Projection, Projections};
pub use format::{ChunkFormat, VlenFill};
pub use placement::packed_strides;
