//! Damaged bytes for every decoder: each is given mutated samples of its own for some seconds, always the same ones in the
//! same order. What must hold: it returns, writes nowhere but in its place, and its output grows to no more than a limit.
//!
//! Usage: fuzz [seconds for each decoder] [part of a decoder's name]

mod decoders;
mod mutation;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use decoders::{Decoder, decoders};
use engine::codec::bytes_to_bytes::BytesToBytes;
use engine::memory::Place;
use mutation::Random;

const GUARD: usize = 64;
const LENGTHS: [usize; 4] = [1, 60, 400, 5000];

/// Something between noise and a constant, so that compressors find something.
fn sample(random: &mut Random, length: usize) -> Vec<u8> {
    let steps = 1 + random.below(16) as u8;
    let mut value = 0_u8;
    let mut next = || {
        value = value.wrapping_add(random.below(usize::from(steps)) as u8 / 4);
        value
    };
    (0..length).map(|_| next()).collect()
}

/// All ways of decoding `input` where `length` bytes are expected.
fn decode(codec: &dyn BytesToBytes, input: &[u8], length: usize) {
    let mut room = vec![0xA5; length + 2 * GUARD];
    let _ = codec.decode_into(input, Place::from(&mut room[GUARD..GUARD + length]));
    let guards = room[..GUARD].iter().chain(&room[GUARD + length..]);
    assert!(guards.into_iter().all(|byte| *byte == 0xA5), "written outside the place");

    let mut out = Vec::new();
    let result = codec.decode_onto(input, &mut out, length);
    assert!(result.is_err() || out.len() <= length, "{} bytes within a limit of {length}", out.len());
    assert!(out.capacity() <= 4 * length + (1 << 16), "{} bytes of memory for {length}", out.capacity());

    for validate in [false, true] {
        if let Some(Ok(view)) = codec.decode_view(input, validate) {
            assert!(view.len() <= input.len());
        }
    }

    let (start, end) = (length / 4, length / 2);
    let mut part = vec![0xA5; end - start + 2 * GUARD];
    let _ = codec.decode_span(input, length, start, Place::from(&mut part[GUARD..GUARD + end - start]));
    let guards = part[..GUARD].iter().chain(&part[GUARD + end - start..]);
    assert!(guards.into_iter().all(|byte| *byte == 0xA5), "written outside the span");
    let _ = codec.span_parts(input, input.len(), length, start..end);
}

/// Runs one decoder for `limit`. Returns how many inputs it saw, or the input that it failed on.
fn run(decoder: &Decoder, limit: Duration) -> Result<u64, Vec<u8>> {
    let mut random = Random::new(20_240_517);
    let end = Instant::now() + limit;
    let mut count = 0;
    while Instant::now() < end {
        let length = LENGTHS[random.below(LENGTHS.len())] / decoder.unit.max(1) * decoder.unit.max(1);
        let mut sound = Vec::new();
        if decoder.codec.encode(&sample(&mut random, length), &mut sound).is_err() {
            continue;
        }
        for _ in 0..64 {
            let input = random.mutated(&sound);
            // Now and then a wrong expectation instead of wrong bytes.
            let expected = if random.below(8) == 0 { random.below(2 * length + 2) } else { length };
            if catch_unwind(AssertUnwindSafe(|| decode(decoder.codec.as_ref(), &input, expected))).is_err() {
                return Err(input);
            }
            count += 1;
        }
    }
    Ok(count)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(10.0);
    let part = arguments.get(1).map_or("", String::as_str);
    let mut failed = false;
    for decoder in decoders().into_iter().filter(|decoder| decoder.name.contains(part)) {
        match run(&decoder, Duration::from_secs_f64(seconds)) {
            Ok(count) => println!("{:16} {count:>9} inputs", decoder.name),
            Err(input) => {
                failed = true;
                let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
                println!("{:16} FAILED on {hex}", decoder.name);
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
