//! Array-to-bytes codecs that do more than copy. The `bytes` codec only copies: its byte order is adjusted by the copy
//! between chunk and array.

pub mod pcodec;
pub mod sharding;
pub mod vlen;
