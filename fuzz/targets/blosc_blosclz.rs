#![no_main]
fuzz::target!(blosc_blosclz);
