#![no_main]
fuzz::target!(fixedscaleoffset);
