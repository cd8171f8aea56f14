//! Indexes of shards of eight subchunks. The first two bytes of an input are the length of the shard.

use std::sync::Arc;

use engine::codec::array_to_array::transpose::Transpose;
use engine::codec::array_to_bytes::sharding::{Index, Sharding, WriteOrder};
use engine::codec::bytes_to_bytes::Step;
use engine::codec::bytes_to_bytes::crc32c::Crc32c;
use engine::codec::{Chain, Serializer};
use engine::selection::Grid;

use crate::{Target, number, seed};

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

fn check(sharding: &Sharding, grid: &Grid, stored: &[u8], shard: u64) {
    let Ok(index) = sharding.decode_index(stored, grid) else { return };
    for subchunk in 0..SUBCHUNKS {
        if let Ok(Some(extent)) = index.checked(subchunk, shard) {
            assert!(extent.offset + extent.len <= shard, "{extent:?} reaches outside {shard} bytes");
        }
    }
    assert_eq!(sharding.encode_index(&index, grid).expect("an index"), stored);
}

pub fn shard_index() -> Target {
    let seeds = [false, true].map(|checksum| {
        let (sharding, grid) = sharding(checksum);
        let lengths = [Some(8), None, Some(8), Some(1), None, None, Some(300), Some(8)];
        let layout = sharding.assemble(&grid, &lengths).expect("an index").expect("subchunks");
        seed(400, &layout.index)
    });
    let empty = Index::empty(SUBCHUNKS);
    let (plain, grid) = sharding(false);
    let empty = seed(400, &plain.encode_index(&empty, &grid).expect("an index"));
    let check = move |input: &[u8]| {
        let Some((shard, stored)) = number(input, 0..=u16::MAX.into()) else { return };
        for checksum in [false, true] {
            let (sharding, grid) = sharding(checksum);
            check(&sharding, &grid, stored, shard as u64);
        }
    };
    Target { check: Box::new(check), seeds: seeds.into_iter().chain([empty]).collect() }
}
