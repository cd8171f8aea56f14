"""How the bytes of an array's chunks are reached: by Rust, by calls from threads, or by an event loop."""
