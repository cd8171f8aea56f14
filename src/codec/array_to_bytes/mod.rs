//! Array-to-bytes codecs that are more than a copy. The bytes codec is: the engine swaps while it scatters.

pub mod pcodec;
pub mod sharding;
pub mod vlen;
