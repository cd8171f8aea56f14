//! What must hold of every decoder, whatever bytes it is given: it returns, writes nowhere but in its place, and its output
//! grows to no more than a limit.

mod archive;
mod shards;
mod steps;
mod text;

use std::ops::RangeInclusive;

/// One decoder under test.
pub struct Target {
    /// What to do with an input of the fuzzer.
    pub check: Box<dyn Fn(&[u8]) + Send + Sync>,
    /// Inputs to begin with, which the decoder takes without complaint.
    pub seeds: Vec<Vec<u8>>,
}

/// Makes a target from its name.
pub type Maker = fn() -> Target;

/// Targets that are no codec of the engine's table.
const OTHER_TARGETS: &[(&str, Maker)] = &[
    ("shard_index", shards::shard_index),
    ("vlen_bytes", text::vlen_bytes),
    ("vlen_utf8", text::vlen_utf8),
    ("zip_archive", archive::zip_archive),
];

/// All targets by name.
pub fn targets() -> impl Iterator<Item = &'static (&'static str, Maker)> {
    steps::TARGETS.iter().chain(OTHER_TARGETS)
}

/// The target called `name`.
///
/// # Panics
/// If there is none.
pub fn target_called(name: &str) -> Target {
    let (_, maker) = targets().find(|(known, _)| *known == name).expect("a target of the table");
    maker()
}

/// Makes the program of the target with this name.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        static TARGET: std::sync::LazyLock<$crate::Target> =
            std::sync::LazyLock::new(|| $crate::target_called(stringify!($name)));

        libfuzzer_sys::fuzz_target!(|input: &[u8]| (TARGET.check)(input));
    };
}

/// A number in `range` that the first two bytes of an input choose, and the other bytes.
fn number(input: &[u8], range: RangeInclusive<usize>) -> Option<(usize, &[u8])> {
    let (number, rest) = input.split_first_chunk::<2>()?;
    Some((range.start() + usize::from(u16::from_le_bytes(*number)) % (range.end() - range.start() + 1), rest))
}

/// The input that chooses `number`, followed by `bytes`.
fn seed(number: usize, bytes: &[u8]) -> Vec<u8> {
    let number = u16::try_from(number).expect("small");
    [&number.to_le_bytes(), bytes].concat()
}

/// Something between noise and a constant, so that compressors find something.
fn sample(length: usize) -> Vec<u8> {
    let mut state = 20_240_517_u32;
    let mut value = 0_u8;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        value = value.wrapping_add((state >> 30) as u8);
        value
    };
    (0..length).map(|_| next()).collect()
}
