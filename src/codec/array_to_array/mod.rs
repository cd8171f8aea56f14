//! Array-to-array codecs.

pub mod transpose;
