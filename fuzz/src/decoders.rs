//! The decoders under test with the settings that matter to reading.

use engine::codec::bytes_to_bytes::BytesToBytes;
use engine::codec::bytes_to_bytes::adler32::Adler32;
use engine::codec::bytes_to_bytes::blosc::Blosc;
use engine::codec::bytes_to_bytes::bz2::Bz2;
use engine::codec::bytes_to_bytes::checksum::{Checksum, Location};
use engine::codec::bytes_to_bytes::crc32::Crc32;
use engine::codec::bytes_to_bytes::crc32c::{Castagnoli, Crc32c};
use engine::codec::bytes_to_bytes::fletcher32::Fletcher32;
use engine::codec::bytes_to_bytes::gzip::Gzip;
use engine::codec::bytes_to_bytes::jenkins_lookup3::JenkinsLookup3;
use engine::codec::bytes_to_bytes::lz4::Lz4;
use engine::codec::bytes_to_bytes::lzma::{Filter, Format, Lzma};
use engine::codec::bytes_to_bytes::shuffle::Shuffle;
use engine::codec::bytes_to_bytes::zlib::Zlib;
use engine::codec::bytes_to_bytes::zstd::Zstd;

/// One decoder.
pub struct Decoder {
    pub name: &'static str,
    pub codec: Box<dyn BytesToBytes>,
    /// What it takes comes in multiples of so many bytes.
    pub unit: usize,
}

fn of(name: &'static str, codec: impl BytesToBytes + 'static) -> Decoder {
    Decoder { name, codec: Box::new(codec), unit: 1 }
}

fn blosc(cname: &str, shuffle: i32) -> Blosc {
    Blosc::new(cname, 5, shuffle, 0, 4).expect("a compressor that is built in")
}

/// All of them.
pub fn decoders() -> Vec<Decoder> {
    let lzma = |format, preset, filters| Lzma::new(format, -1, preset, filters);
    let delta = Filter { id: 3, options: vec![("dist".to_owned(), 4)] };
    let lzma2 = Filter { id: 0x21, options: vec![("preset".to_owned(), 0)] };
    vec![
        of("adler32", Checksum::new(Adler32, Location::Start)),
        of("blosc_blosclz", blosc("blosclz", 1)),
        of("blosc_lz4", blosc("lz4", 2)),
        of("blosc_zlib", blosc("zlib", 0)),
        of("blosc_zstd", blosc("zstd", 1)),
        of("bz2", Bz2::new(1)),
        of("crc32", Checksum::new(Crc32, Location::End)),
        of("crc32c", Crc32c),
        of("numcodecs_crc32c", Checksum::new(Castagnoli, Location::Start)),
        of("fletcher32", Checksum::new(Fletcher32, Location::End)),
        of("gzip", Gzip::new(5)),
        of("jenkins_lookup3", Checksum::new(JenkinsLookup3::new(7, b"prefix".to_vec()), Location::End)),
        of("lz4", Lz4::new(1)),
        of("lzma_xz", lzma(Format::Xz, Some(0), None)),
        of("lzma_alone", lzma(Format::Alone, Some(0), None)),
        of("lzma_raw", lzma(Format::Raw, None, Some(vec![delta, lzma2]))),
        Decoder { unit: 4, ..of("shuffle", Shuffle::new(4)) },
        of("zlib", Zlib::new(5)),
        of("zstd", Zstd::new(3, true)),
    ]
}
