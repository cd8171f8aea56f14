#![no_main]
fuzz::target!(vlen_utf8);
