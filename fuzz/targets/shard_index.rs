#![no_main]
fuzz::target!(shard_index);
