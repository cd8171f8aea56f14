#![no_main]
fuzz::target!(zlib);
