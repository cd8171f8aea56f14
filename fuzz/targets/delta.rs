#![no_main]
fuzz::target!(delta);
