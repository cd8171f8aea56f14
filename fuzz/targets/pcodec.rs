#![no_main]
fuzz::target!(pcodec);
