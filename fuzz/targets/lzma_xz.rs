#![no_main]
fuzz::target!(lzma_xz);
