#![no_main]
fuzz::target!(jenkins_lookup3);
