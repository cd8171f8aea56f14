//! Bob Jenkins' 32-bit lookup3, HDF5's checksum of metadata. No maintained crate has it with a start value.
//! <https://www.burtleburtle.net/bob/c/lookup3.c>

use super::checksum::Algorithm;
use crate::error::Kind;

const BLOCK_BYTES: usize = 12;

/// `numcodecs.jenkins_lookup3`.
#[derive(Debug, Clone)]
pub struct JenkinsLookup3 {
    start: u32,
    prefix: Vec<u8>,
}

impl JenkinsLookup3 {
    /// The hash of `prefix` followed by the data, with the start value `start`.
    pub fn new(start: u32, prefix: Vec<u8>) -> Self {
        Self { start, prefix }
    }
}

#[derive(Clone, Copy)]
struct Lanes(u32, u32, u32);

impl Lanes {
    #[inline]
    fn add(self, block: &[u8; BLOCK_BYTES]) -> Self {
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| block[at + i]));
        Self(self.0.wrapping_add(word(0)), self.1.wrapping_add(word(4)), self.2.wrapping_add(word(8)))
    }

    #[inline]
    fn mix(self) -> Self {
        let Self(mut a, mut b, mut c) = self;
        // Both halves are the same but for their rotations.
        for [first, second, third] in [[4, 6, 8], [16, 19, 4]] {
            a = a.wrapping_sub(c) ^ c.rotate_left(first);
            c = c.wrapping_add(b);
            b = b.wrapping_sub(a) ^ a.rotate_left(second);
            a = a.wrapping_add(c);
            c = c.wrapping_sub(b) ^ b.rotate_left(third);
            b = b.wrapping_add(a);
        }
        Self(a, b, c)
    }

    fn finish(self) -> u32 {
        let Self(mut a, mut b, mut c) = self;
        let turn = |target: u32, source: u32, by| (target ^ source).wrapping_sub(source.rotate_left(by));
        c = turn(c, b, 14);
        a = turn(a, c, 11);
        b = turn(b, a, 25);
        c = turn(c, b, 16);
        a = turn(a, c, 4);
        b = turn(b, a, 14);
        turn(c, b, 24)
    }
}

impl Algorithm for JenkinsLookup3 {
    const NAME: &'static str = "jenkins_lookup3";

    fn sum(&self, data: &[u8]) -> u32 {
        let length = self.prefix.len().wrapping_add(data.len()) as u32;
        let start = 0xDEAD_BEEF_u32.wrapping_add(length).wrapping_add(self.start);
        let mut state = Lanes(start, start, start);
        // The prefix and the data that fills its last block are copied; the rest is read in place.
        let filling = (self.prefix.len().next_multiple_of(BLOCK_BYTES) - self.prefix.len()).min(data.len());
        let (filling, data) = data.split_at(filling);
        let head = [&self.prefix, filling].concat();
        let (mut last, mut data) = (&head[..], data);
        loop {
            // The last block is not mixed here: `finish` follows it.
            while last.len() > BLOCK_BYTES || (last.len() == BLOCK_BYTES && !data.is_empty()) {
                let Some((block, rest)) = last.split_first_chunk() else { break };
                state = state.add(block).mix();
                last = rest;
            }
            if data.is_empty() {
                break;
            }
            (last, data) = (data, &[]);
        }
        if last.is_empty() {
            return state.2;
        }
        let mut block = [0; BLOCK_BYTES];
        block[..last.len()].copy_from_slice(last);
        state.add(&block).finish()
    }

    /// numcodecs reads the last four bytes as an array of one number and takes its first element.
    fn refuses_stored(&self, stored: usize) -> Option<Kind> {
        match stored {
            0 => Some(Kind::Index),
            1..4 => Some(Kind::Value),
            _ => None,
        }
    }
}
