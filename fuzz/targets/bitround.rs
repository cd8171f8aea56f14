#![no_main]
fuzz::target!(bitround);
