#![no_main]
fuzz::target!(packbits);
