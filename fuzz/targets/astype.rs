#![no_main]
fuzz::target!(astype);
