#![no_main]
fuzz::target!(numcodecs_crc32c);
