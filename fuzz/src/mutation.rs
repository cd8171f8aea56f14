//! Random numbers from a seed, and what they do to bytes.

/// A generator of numbers (xorshift), the same from the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number less than `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        const EXTREMES: [u8; 6] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF];
        match self.below(3) {
            0 => EXTREMES[self.below(EXTREMES.len())],
            _ => self.next() as u8,
        }
    }

    /// `sound` after up to four of: cut, flipped, overwritten (often in its header), lengthened, repeated, thinned.
    pub fn mutated(&mut self, sound: &[u8]) -> Vec<u8> {
        let mut bytes = sound.to_vec();
        for _ in 0..=self.below(4) {
            let length = bytes.len();
            // Every other time in the header.
            let end = if self.below(2) == 0 { length.min(24) } else { length };
            let at = self.below(end);
            match self.below(7) {
                0 => bytes.truncate(self.below(length + 1)),
                1 if length > 0 => bytes[at] ^= 1 << self.below(8),
                2 if length > 0 => bytes[at] = self.byte(),
                3 => {
                    let more = self.below(40);
                    bytes.extend((0..more).map(|_| self.byte()));
                }
                4 => bytes.extend_from_slice(&sound[..self.below(sound.len() + 1)]),
                5 if length > 0 => {
                    bytes.drain(at..(at + self.below(8)).min(length));
                }
                6 if length >= 4 => {
                    let at = at.min(length - 4);
                    let word = [u32::MAX, i32::MAX as u32, 1 << 31, 0, 1 << 24][self.below(5)];
                    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
                }
                _ => {}
            }
        }
        // Of its own size, so that a sanitizer would see a read beyond it.
        bytes.shrink_to_fit();
        bytes
    }
}
