//! Where the chunks of a three-dimensional array are: files, byte ranges, places in the output.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What the driver says of an array; shapes in elements, `item` in bytes.
#[derive(Deserialize)]
pub struct Layout {
    pub path: PathBuf,
    pub shape: [usize; 3],
    pub chunks: [usize; 3],
    pub shards: Option<[usize; 3]>,
    pub codec: String,
    pub item: usize,
}

/// The bytes of a chunk: a file of its own, or a range of an open shard.
pub enum Source {
    File(PathBuf),
    Range { shard: usize, offset: u64, length: usize },
}

/// One chunk and the element of the output where it begins.
pub struct Unit {
    pub source: Source,
    pub origin: [usize; 3],
}

impl Layout {
    /// The chunk in bytes.
    pub fn chunk_bytes(&self) -> usize {
        self.chunks.iter().product::<usize>() * self.item
    }

    /// `(512, 512, 512)`
    pub fn shape_text(&self) -> String {
        let [z, y, x] = self.shape;
        format!("({z}, {y}, {x})")
    }

    /// Every chunk in C order (by shard first), and the shards they refer to, open.
    pub fn units(&self) -> (Vec<Unit>, Vec<File>) {
        let stored = self.shards.unwrap_or(self.chunks);
        let mut units = Vec::new();
        let mut shards = Vec::new();
        for position in grid(self.shape, stored) {
            let origin = multiply(position, stored);
            let [z, y, x] = position;
            let key = self.path.join(format!("c/{z}/{y}/{x}"));
            if self.shards.is_none() {
                units.push(Unit { source: Source::File(key), origin });
                continue;
            }
            let (file, ranges) = open_shard(&key, grid(stored, self.chunks).count());
            for (subchunk, (offset, length)) in grid(stored, self.chunks).zip(ranges) {
                let place = multiply(subchunk, self.chunks);
                let origin = std::array::from_fn(|axis| origin[axis] + place[axis]);
                units.push(Unit { source: Source::Range { shard: shards.len(), offset, length }, origin });
            }
            shards.push(file);
        }
        (units, shards)
    }
}

/// The shard and its index: pairs of little-endian offset and length, then a CRC-32C, at the end of the file.
fn open_shard(key: &Path, count: usize) -> (File, Vec<(u64, usize)>) {
    let file = File::open(key).expect("a shard");
    let size = file.metadata().expect("a shard's size").len();
    let mut index = vec![0; count * 16 + 4];
    let at = size - index.len() as u64;
    file.read_exact_at(&mut index, at).expect("a shard index");
    let number = |at: usize| u64::from_le_bytes(index[at..at + 8].try_into().expect("eight bytes"));
    let ranges =
        (0..count).map(|i| (number(i * 16), usize::try_from(number(i * 16 + 8)).expect("a 64-bit machine"))).collect();
    (file, ranges)
}

fn grid(shape: [usize; 3], step: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    let [nz, ny, nx]: [usize; 3] = std::array::from_fn(|axis| {
        assert!(shape[axis].is_multiple_of(step[axis]), "the limit program knows no edge chunks");
        shape[axis] / step[axis]
    });
    (0..nz).flat_map(move |z| (0..ny).flat_map(move |y| (0..nx).map(move |x| [z, y, x])))
}

fn multiply(position: [usize; 3], step: [usize; 3]) -> [usize; 3] {
    std::array::from_fn(|axis| position[axis] * step[axis])
}
