#![no_main]
fuzz::target!(zip_archive);
