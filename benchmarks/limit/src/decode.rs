//! The whole array: threads take chunks from one counter, read, decode into scratch, copy rows.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use libdeflater::Decompressor;
use zstd_safe::DCtx;

use crate::layout::{Layout, Source, Unit};
use crate::output::Output;

/// Reads every chunk of the array.
pub fn whole(layout: &Layout, threads: usize) -> Output {
    let out = Output::new(layout.shape.iter().product::<usize>() * layout.item);
    let (units, shards) = layout.units();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut worker = Worker::new(layout);
                while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                    worker.take(layout, unit, &shards, &out);
                }
            });
        }
    });
    out
}

/// A thread's scratch and codec contexts.
struct Worker {
    encoded: Vec<u8>,
    decoded: Vec<u8>,
    zstd: DCtx<'static>,
    deflate: Decompressor,
}

impl Worker {
    fn new(layout: &Layout) -> Self {
        // Four times a chunk: no codec here grows its input so much.
        let encoded = vec![0; layout.chunk_bytes() * 4 + 4096];
        Self { encoded, decoded: vec![0; layout.chunk_bytes()], zstd: DCtx::create(), deflate: Decompressor::new() }
    }

    fn take(&mut self, layout: &Layout, unit: &Unit, shards: &[File], out: &Output) {
        let length = match &unit.source {
            Source::File(key) => {
                let mut file = File::open(key).expect("a chunk");
                file.read(&mut self.encoded).expect("a chunk's bytes")
            }
            Source::Range { shard, offset, length } => {
                shards[*shard].read_exact_at(&mut self.encoded[..*length], *offset).expect("a subchunk");
                *length
            }
        };
        let encoded = &self.encoded[..length];
        let scratch = &mut self.decoded[..];
        let decoded = match layout.codec.as_str() {
            "raw" => length,
            "zstd" => self.zstd.decompress(scratch, encoded).expect("zstd"),
            "gzip" => self.deflate.gzip_decompress(encoded, scratch).expect("gzip"),
            _ => blosc(encoded, scratch),
        };
        let chunk = if layout.codec == "raw" { encoded } else { &self.decoded[..] };
        assert_eq!(decoded, layout.chunk_bytes(), "a chunk's length");
        copy(layout, unit.origin, chunk, out);
    }
}

/// Decodes on the calling thread alone; the length of the chunk.
fn blosc(encoded: &[u8], decoded: &mut [u8]) -> usize {
    // SAFETY: `encoded` was written by zarr in this run (a damaged header could read past it: a bound takes no care);
    // `decoded` is given with its length.
    let length = unsafe {
        blosc_src::blosc_decompress_ctx(encoded.as_ptr().cast(), decoded.as_mut_ptr().cast(), decoded.len(), 1)
    };
    usize::try_from(length).expect("blosc")
}

fn copy(layout: &Layout, origin: [usize; 3], chunk: &[u8], out: &Output) {
    let [_, ny, nx] = layout.shape;
    let [_, cy, cx] = layout.chunks;
    for (row, bytes) in chunk.chunks_exact(cx * layout.item).enumerate() {
        let (z, y) = (origin[0] + row / cy, origin[1] + row % cy);
        // SAFETY: chunks do not overlap, and each is taken once.
        unsafe { out.write(((z * ny + y) * nx + origin[2]) * layout.item, bytes) };
    }
}
