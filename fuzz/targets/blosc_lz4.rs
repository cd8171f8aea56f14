#![no_main]
fuzz::target!(blosc_lz4);
