#![no_main]
fuzz::target!(bz2);
