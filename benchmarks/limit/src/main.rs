//! The limit program: reads whole arrays as plainly as can be, on the driver's protocol (JSON lines).
//! Opens, reads, calls the codec library, copies. No selections, no errors worth the name: it panics.

mod decode;
mod layout;
mod output;

use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::layout::Layout;

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Request {
    Prepare { layout: Layout },
    Run { repeats: usize },
    Close {},
}

fn main() {
    let threads: usize = std::env::var("BENCH_THREADS").map_or(2, |n| n.parse().expect("a number of threads"));
    let mut prepared: Option<Layout> = None;
    for line in stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line.expect("the driver's pipe")).expect("a request");
        let reply = match request {
            Request::Prepare { layout } => {
                prepared = Some(layout);
                json!({})
            }
            Request::Run { repeats } => run(prepared.as_ref().expect("prepare comes first"), repeats, threads),
            Request::Close {} => {
                prepared = None;
                json!({})
            }
        };
        writeln!(stdout(), "{reply}").expect("the driver's pipe");
    }
}

fn run(layout: &Layout, repeats: usize, threads: usize) -> Value {
    let mut seconds = Vec::with_capacity(repeats);
    let mut checksum = 0;
    for round in 0..repeats {
        let start = Instant::now();
        let out = decode::whole(layout, threads);
        seconds.push(start.elapsed().as_secs_f64());
        if round + 1 == repeats {
            // The driver's checksum: the shape as Python writes it, then the elements.
            checksum = crc32c::crc32c_append(crc32c::crc32c(layout.shape_text().as_bytes()), out.bytes());
        }
    }
    json!({"seconds": seconds, "checksum": format!("{checksum:08x}")})
}
