#![no_main]
fuzz::target!(lzma_alone);
