#![no_main]
fuzz::target!(zstd);
