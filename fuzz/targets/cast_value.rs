#![no_main]
fuzz::target!(cast_value);
