//! The units of a job that arrive while it runs: two counters and a bound on participants. Lock-free and pure, like
//! `ranges.rs`; the payload of each unit stays with the work.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Units in push order. Each participant takes the next ones from the front.
pub(super) struct Feed {
    /// Twice the number of units pushed so far, plus one once the feed is closed: in one word, so that no push follows the
    /// close.
    pushed: AtomicU64,
    /// Units that have been started; never more than were pushed.
    started: AtomicU64,
    participants: AtomicUsize,
    /// Participants that have not asked for units yet: each of them will take one of those that wait.
    fresh: AtomicUsize,
    most: usize,
    grain: usize,
}

const CLOSED: u64 = 1;
const UNIT: u64 = 2;

impl Feed {
    /// An open feed without units, for at most `participants` at a time, which take at most `grain` units each time.
    pub(super) fn new(participants: usize, grain: usize) -> Self {
        Self {
            pushed: AtomicU64::new(0),
            started: AtomicU64::new(0),
            participants: AtomicUsize::new(0),
            fresh: AtomicUsize::new(0),
            most: participants.max(1),
            grain: grain.max(1),
        }
    }

    /// Adds `count` units, unless the feed is closed. True if another participant could take part: the pusher must then
    /// have the pool look at the job. Otherwise a participant will see the units, at the latest when it leaves.
    pub(super) fn push(&self, count: usize) -> bool {
        let add = |word: u64| (word & CLOSED == 0).then(|| word + UNIT * count as u64);
        // Sequentially consistent, as are `release` and `unstarted`: a pusher adds units and then counts participants, a
        // participant that leaves does both in the opposite order, and at least one of them must see the other. Also a
        // release: what the pusher wrote before is visible to the thread that runs the units.
        let added = self.pushed.fetch_update(Ordering::SeqCst, Ordering::Relaxed, add).is_ok();
        added && self.participants.load(Ordering::SeqCst) < self.most
    }

    /// No unit is added from now on.
    pub(super) fn close(&self) {
        self.pushed.fetch_or(CLOSED, Ordering::SeqCst);
    }

    /// Whether every unit has started and no other can be pushed; exact once no participant is left.
    pub(super) fn exhausted(&self) -> bool {
        let pushed = self.pushed.load(Ordering::SeqCst);
        pushed & CLOSED != 0 && self.started.load(Ordering::SeqCst) >= pushed / UNIT
    }

    /// Adds a participant, if there may be another. Called by one thread at a time.
    pub(super) fn claim(&self) -> bool {
        let free = self.participants.load(Ordering::Relaxed) < self.most;
        if free {
            self.participants.fetch_add(1, Ordering::SeqCst);
            self.fresh.fetch_add(1, Ordering::Relaxed);
        }
        free
    }

    /// A participant, which has claimed its place, asks for its first units.
    pub(super) fn begin(&self) {
        self.fresh.fetch_sub(1, Ordering::Relaxed);
    }

    /// A participant leaves.
    pub(super) fn release(&self) {
        self.participants.fetch_sub(1, Ordering::SeqCst);
    }

    /// Units per call of `run`, at most.
    pub(super) fn grain(&self) -> usize {
        self.grain
    }

    /// How many more participants would find a unit, as of now.
    pub(super) fn wanted(&self) -> usize {
        let free = self.most.saturating_sub(self.participants.load(Ordering::Relaxed));
        let waiting = usize::try_from(self.waiting()).unwrap_or(usize::MAX);
        free.min(waiting.saturating_sub(self.fresh.load(Ordering::Relaxed)))
    }

    /// Whether a unit has not been started; exact once no participant is left.
    pub(super) fn unstarted(&self) -> bool {
        self.waiting() > 0
    }

    fn waiting(&self) -> u64 {
        let started = self.started.load(Ordering::SeqCst);
        (self.pushed.load(Ordering::SeqCst) / UNIT).saturating_sub(started)
    }

    /// The next units: at most `grain`, and no more than a participant's share of those that wait.
    pub(super) fn next(&self) -> Option<Range<usize>> {
        let mut first = self.started.load(Ordering::Relaxed);
        loop {
            // Acquire: see `push`.
            let waiting = (self.pushed.load(Ordering::Acquire) / UNIT).saturating_sub(first);
            if waiting == 0 {
                return None;
            }
            let count = waiting.div_ceil(self.most as u64).min(self.grain as u64);
            match self.started.compare_exchange_weak(first, first + count, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return Some(first as usize..(first + count) as usize),
                Err(now) => first = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_units_are_numbered_in_push_order_across_pushes() {
        let feed = Feed::new(1, 4);
        assert!(feed.next().is_none() && !feed.unstarted());
        assert!(feed.push(3) && feed.push(2));
        assert_eq!((feed.next(), feed.next(), feed.next()), (Some(0..4), Some(4..5), None));
        feed.push(1);
        assert_eq!(feed.next(), Some(5..6));
    }

    #[test]
    fn test_a_participant_takes_no_more_than_its_share() {
        let feed = Feed::new(4, 16);
        feed.push(9);
        assert_eq!((feed.next(), feed.next()), (Some(0..3), Some(3..5)));
    }

    #[test]
    fn test_wanted_counts_free_places_that_would_find_a_unit() {
        let feed = Feed::new(2, 1);
        assert_eq!(feed.wanted(), 0);
        feed.push(1);
        assert_eq!(feed.wanted(), 1);
        feed.push(5);
        assert_eq!(feed.wanted(), 2);
        assert!(feed.claim());
        feed.begin();
        assert_eq!(feed.wanted(), 1);
        assert!(feed.push(1), "one place is free");
        assert!(feed.claim() && !feed.claim());
        assert!(!feed.push(1), "participants are enough");
        assert_eq!(feed.wanted(), 0);
        feed.release();
        assert_eq!(feed.wanted(), 1);
    }

    #[test]
    fn test_a_participant_on_its_way_counts_for_one_unit() {
        let feed = Feed::new(4, 1);
        feed.push(2);
        assert!(feed.claim());
        assert_eq!(feed.wanted(), 1);
        assert!(feed.claim());
        assert_eq!(feed.wanted(), 0);
        feed.begin();
        assert_eq!((feed.next(), feed.wanted()), (Some(0..1), 0));
        feed.push(1);
        assert_eq!(feed.wanted(), 1);
    }

    #[test]
    fn test_a_closed_feed_takes_no_units_and_ends_with_its_last() {
        let feed = Feed::new(2, 1);
        feed.push(1);
        feed.close();
        assert!(!feed.exhausted() && !feed.push(7));
        assert_eq!((feed.next(), feed.next()), (Some(0..1), None));
        feed.close();
        assert!(feed.exhausted());
    }

    #[test]
    fn test_concurrent_pushes_and_takes_lose_and_repeat_nothing() {
        let feed = Feed::new(3, 2);
        let mut taken = std::thread::scope(|scope| {
            let takers = [(); 3].map(|()| {
                scope.spawn(|| {
                    let mut taken = Vec::new();
                    while !feed.exhausted() {
                        taken.extend(feed.next().into_iter().flatten());
                    }
                    taken
                })
            });
            let pushers = [(); 2].map(|()| scope.spawn(|| (0..1000).filter(|_| feed.push(1)).count()));
            for pusher in pushers {
                pusher.join().expect("pushing does not panic");
            }
            feed.close();
            takers.into_iter().flat_map(|taker| taker.join().expect("taking does not panic")).collect::<Vec<_>>()
        });
        taken.sort_unstable();
        assert_eq!(taken, (0..2000).collect::<Vec<_>>());
    }
}
