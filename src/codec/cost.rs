//! How long codecs take: every estimate of codec time is here.

/// Microseconds on one thread for each KiB of the decoded form, to the nearest power of two or so.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// For encoding.
    pub encode: f64,
    /// For decoding.
    pub decode: f64,
}

impl Cost {
    /// A codec that is not slow, and moving the bytes.
    pub(crate) const ORDINARY: Self = Self { encode: 3.0, decode: 0.8 };
    /// bzip2 at any level.
    pub(super) const BZ2: Self = Self { encode: 100.0, decode: 40.0 };
    /// xz and LZMA at any preset.
    pub(super) const LZMA: Self = Self { encode: 300.0, decode: 15.0 };
    /// pco at any level.
    pub(super) const PCODEC: Self = Self { encode: 30.0, decode: 2.0 };

    /// gzip and zlib at zlib's `level`, where a negative one is 6.
    pub(super) fn deflate(level: i32) -> Self {
        Self { encode: 10.0 * f64::from(if level < 0 { 6 } else { level }), decode: 2.0 }
    }

    /// zstd at `level`.
    pub(super) fn zstd(level: i32) -> Self {
        let encode = match level {
            ..=4 => 3.0,
            5..=9 => 12.0,
            10..=15 => 60.0,
            _ => 400.0,
        };
        Self { encode, ..Self::ORDINARY }
    }

    /// blosc with the compressor of this name at `clevel`.
    pub(super) fn blosc(compressor: &[u8], clevel: i32) -> Self {
        let fast = matches!(compressor, b"blosclz" | b"lz4");
        let encode = match clevel {
            level if fast || level <= 1 => 3.0,
            ..=5 => 15.0,
            _ => 100.0,
        };
        Self { encode, ..Self::ORDINARY }
    }

    /// The slower of both, in each direction.
    pub(super) fn max(self, other: Self) -> Self {
        Self { encode: self.encode.max(other.encode), decode: self.decode.max(other.decode) }
    }
}
