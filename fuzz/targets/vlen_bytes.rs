#![no_main]
fuzz::target!(vlen_bytes);
