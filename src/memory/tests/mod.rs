//! The whole of `memory/` against models that are too simple to be wrong, and against what zarr itself answers.

mod copies;
mod emptiness;
mod fills;
mod random;
mod references;
mod views;
