#![no_main]
fuzz::target!(gzip);
