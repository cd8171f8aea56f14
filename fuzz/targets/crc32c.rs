#![no_main]
fuzz::target!(crc32c);
