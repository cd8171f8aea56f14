#![no_main]
fuzz::target!(lz4);
