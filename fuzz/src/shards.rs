//! Indexes of shards of eight subchunks. An input is a stored index.

use std::sync::Arc;

use engine::codec::array_to_array::transpose::Transpose;
use engine::codec::array_to_bytes::sharding::{Index, Sharding, WriteOrder};
use engine::codec::bytes_to_bytes::Step;
use engine::codec::bytes_to_bytes::crc32c::Crc32c;
use engine::codec::{Chain, Serializer};
use engine::selection::Grid;

use crate::Target;

const SUBCHUNKS: usize = 8;

fn sharding(checksum: bool) -> (Sharding, Grid) {
    let checksum: Option<Arc<dyn Step>> = checksum.then(|| Arc::new(Crc32c) as _);
    let sharding = Sharding {
        chunk_shape: vec![2],
        inner: Chain { transpose: Transpose::identity(), serializer: Serializer::Bytes, steps: Vec::new() },
        index_big_endian: false,
        index_transpose: Transpose::identity(),
        index_steps: checksum.into_iter().collect(),
        index_at_start: false,
        order: WriteOrder::Morton,
    };
    let grid = sharding.grid(&[2 * SUBCHUNKS]).expect("shapes that divide");
    (sharding, grid)
}

fn check(sharding: &Sharding, grid: &Grid, stored: &[u8]) {
    let Ok(index) = sharding.decode_index(stored, grid) else { return };
    assert_eq!(sharding.encode_index(&index, grid).expect("an index"), stored);
}

pub fn shard_index() -> Target {
    let seeds = [false, true].map(|checksum| {
        let (sharding, grid) = sharding(checksum);
        let lengths = [Some(8), None, Some(8), Some(1), None, None, Some(300), Some(8)];
        sharding.assemble(&grid, &lengths).expect("an index").expect("subchunks").index
    });
    let empty = Index::empty(SUBCHUNKS);
    let (plain, grid) = sharding(false);
    let empty = plain.encode_index(&empty, &grid).expect("an index");
    let check = move |stored: &[u8]| {
        for checksum in [false, true] {
            let (sharding, grid) = sharding(checksum);
            check(&sharding, &grid, stored);
        }
    };
    Target { check: Box::new(check), seeds: seeds.into_iter().chain([empty]).collect() }
}
