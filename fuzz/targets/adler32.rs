#![no_main]
fuzz::target!(adler32);
