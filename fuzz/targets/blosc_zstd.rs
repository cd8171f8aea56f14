#![no_main]
fuzz::target!(blosc_zstd);
