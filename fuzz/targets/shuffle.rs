#![no_main]
fuzz::target!(shuffle);
