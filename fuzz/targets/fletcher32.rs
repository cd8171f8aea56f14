#![no_main]
fuzz::target!(fletcher32);
