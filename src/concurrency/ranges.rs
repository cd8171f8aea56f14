//! The units of a job as contiguous ranges, one per participant, from the back of which idle participants
//! steal. Lock-free and pure: no threads, no clock, no knowledge of what a unit is.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Units are handed out in steps (aligned groups of neighbours), so that their grouping does not depend on which thread runs
/// them, and so that a range of any number of units fits one atomic word.
pub(super) struct Ranges {
    slots: Box<[Slot]>,
    units: usize,
    /// Units per step; the last step may be shorter.
    step: usize,
    grain: usize,
}

/// A participant's place. Two cache lines wide, because processors fetch lines in pairs.
#[repr(align(128))]
struct Slot {
    /// Steps that have not been started: the first in the high half, the end in the low half. The word is the whole
    /// state, so a value that recurs (a range stolen and stolen back) means the same as before.
    rest: AtomicU64,
    taken: AtomicBool,
}

impl Ranges {
    /// `units` in at most `participants` contiguous ranges, run at most `grain` at a time (fewer if a range is shorter).
    pub(super) fn new(units: usize, participants: usize, grain: usize) -> Self {
        let participants = participants.max(1);
        let grain = grain.clamp(1, units.div_ceil(participants).max(1));
        // More steps than a half word can count are bundled; a bundle still runs `grain` units at a time.
        let step = grain * units.div_ceil(grain).div_ceil(u32::MAX as usize).max(1);
        let steps = units.div_ceil(step) as u64;
        let count = participants.min(steps.max(1) as usize) as u64;
        let slots = (0..count).map(|index| Slot {
            rest: AtomicU64::new(pack(steps * index / count, steps * (index + 1) / count)),
            taken: AtomicBool::new(false),
        });
        Self { slots: slots.collect(), units, step, grain }
    }

    /// Units per call of `run`, at most.
    pub(super) fn grain(&self) -> usize {
        self.grain
    }

    /// The free place with the longest range; `None` if every place is taken.
    pub(super) fn claim(&self) -> Option<usize> {
        loop {
            let free = self.slots.iter().enumerate().filter(|(_, slot)| !slot.taken.load(Ordering::Relaxed));
            let (index, slot) = free.max_by_key(|(index, slot)| (slot.len(), usize::MAX - index))?;
            if !slot.taken.swap(true, Ordering::AcqRel) {
                return Some(index);
            }
        }
    }

    /// Frees a place; the rest of its range can be claimed or stolen.
    pub(super) fn release(&self, slot: usize) {
        self.slots[slot].taken.store(false, Ordering::Release);
    }

    /// How many more participants would find a place and a step, as of now.
    pub(super) fn wanted(&self) -> usize {
        let free = self.slots.iter().filter(|slot| !slot.taken.load(Ordering::Relaxed)).count();
        if free == 0 { 0 } else { self.slots.iter().map(|slot| slot.len() as usize).sum::<usize>().min(free) }
    }

    /// Whether a step has not been started; exact once no participant is left.
    pub(super) fn unstarted(&self) -> bool {
        self.slots.iter().any(|slot| slot.len() > 0)
    }

    /// The next units for the holder of `slot`: from the front of its own range or, if that is empty, from the back of the
    /// longest one.
    pub(super) fn next(&self, slot: usize) -> Option<Range<usize>> {
        let own = &self.slots[slot].rest;
        // Relaxed throughout: the word guards no other data; what units read and write is ordered by the pool's lock.
        let popped = own.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let (first, end) = unpack(word);
            (first < end).then(|| pack(first + 1, end))
        });
        match popped {
            Ok(word) => Some(self.units_of(unpack(word).0)),
            Err(_) => self.steal(own).map(|step| self.units_of(step)),
        }
    }

    /// Moves the back half of the longest range (all of it if no participant holds its place) into `own`, which is empty,
    /// and returns its first step.
    fn steal(&self, own: &AtomicU64) -> Option<u64> {
        loop {
            let victim = self.slots.iter().max_by_key(|slot| slot.len())?;
            let word = victim.rest.load(Ordering::Relaxed);
            let (first, end) = unpack(word);
            if first >= end {
                // It was emptied after it was chosen: look again, unless nothing is left anywhere.
                if self.unstarted() {
                    continue;
                }
                return None;
            }
            let middle = if victim.taken.load(Ordering::Relaxed) { first + (end - first) / 2 } else { first };
            let shortened = pack(first, middle);
            if victim.rest.compare_exchange(word, shortened, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                // A plain store is enough: other threads change a range only while it is not empty.
                own.store(pack(middle + 1, end), Ordering::Relaxed);
                return Some(middle);
            }
        }
    }

    fn units_of(&self, step: u64) -> Range<usize> {
        let start = step as usize * self.step;
        start..self.units.min(start.saturating_add(self.step))
    }
}

impl Slot {
    fn len(&self) -> u64 {
        let (first, end) = unpack(self.rest.load(Ordering::Relaxed));
        end.saturating_sub(first)
    }
}

fn pack(first: u64, end: u64) -> u64 {
    first << 32 | end
}

fn unpack(word: u64) -> (u64, u64) {
    (word >> 32, word & u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(ranges: &Ranges, slot: usize) -> Vec<Range<usize>> {
        std::iter::from_fn(|| ranges.next(slot)).collect()
    }

    #[test]
    fn test_one_participant_gets_every_unit_once_in_aligned_runs() {
        for (units, participants, grain) in [(0, 1, 1), (1, 4, 8), (10, 1, 3), (100, 3, 7), (101, 8, 1), (5, 9, 100)] {
            let ranges = Ranges::new(units, participants, grain);
            let slot = ranges.claim().expect("a new job has a free place");
            let mut runs = drain(&ranges, slot);
            assert!(runs.iter().all(|run| run.len() <= grain && run.start % ranges.grain() == 0));
            runs.sort_by_key(|run| run.start);
            assert_eq!(runs.into_iter().flatten().collect::<Vec<_>>(), (0..units).collect::<Vec<_>>());
            assert!(!ranges.unstarted());
        }
    }

    #[test]
    fn test_a_holder_runs_its_own_range_from_the_front() {
        let ranges = Ranges::new(8, 2, 1);
        assert_eq!((ranges.claim(), ranges.claim(), ranges.claim()), (Some(0), Some(1), None));
        assert_eq!((ranges.next(1), ranges.next(1), ranges.next(0)), (Some(4..5), Some(5..6), Some(0..1)));
    }

    #[test]
    fn test_a_thief_takes_the_back_half_of_the_longest_range() {
        let ranges = Ranges::new(16, 2, 1);
        let (owner, thief) = (ranges.claim().expect("free"), ranges.claim().expect("free"));
        assert_eq!((0..8).filter_map(|_| ranges.next(thief)).count(), 8);
        assert_eq!(ranges.next(thief), Some(4..5));
        assert_eq!(ranges.next(owner), Some(0..1));
        assert_eq!(ranges.next(thief), Some(5..6));
    }

    #[test]
    fn test_the_range_of_a_free_place_is_taken_whole() {
        let ranges = Ranges::new(16, 2, 1);
        let slot = ranges.claim().expect("free");
        assert_eq!(drain(&ranges, slot), (0..16).map(|unit| unit..unit + 1).collect::<Vec<_>>());
    }

    #[test]
    fn test_more_units_than_a_word_can_count_are_bundled() {
        let units = (u32::MAX as usize + 1) * 3 + 5;
        let ranges = Ranges::new(units, 4, 1);
        assert_eq!((ranges.grain(), ranges.step), (1, 4));
        let ends = ranges.slots.iter().map(|slot| unpack(slot.rest.load(Ordering::Relaxed))).collect::<Vec<_>>();
        assert!(ends.windows(2).all(|pair| pair[0].1 == pair[1].0) && ends[0].0 == 0);
        assert_eq!(ranges.units_of(ends[3].1 - 1).end, units);
    }

    #[test]
    fn test_wanted_counts_free_places_that_would_find_work() {
        let ranges = Ranges::new(3, 8, 1);
        assert_eq!(ranges.wanted(), 3);
        let slot = ranges.claim().expect("free");
        assert_eq!(ranges.wanted(), 2);
        drain(&ranges, slot);
        assert_eq!(ranges.wanted(), 0);
    }
}
