#![no_main]
fuzz::target!(scale_offset);
