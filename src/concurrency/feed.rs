//! The units of a job that come up one by one: they are taken in the order in which they were fed, by at most so many
//! participants at a time.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many units were fed, and how many were started.
pub(super) struct Feed {
    places: usize,
    held: AtomicUsize,
    next: AtomicUsize,
    end: AtomicUsize,
    closed: AtomicBool,
}

impl Feed {
    pub(super) fn new(participants: usize) -> Self {
        Self {
            places: participants.max(1),
            held: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// `count` more units may run.
    pub(super) fn push(&self, count: usize) {
        self.end.fetch_add(count, Ordering::Release);
    }

    /// No more units will come.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// A place, if one is free.
    pub(super) fn claim(&self) -> Option<usize> {
        let taken = |held| (held < self.places).then_some(held + 1);
        self.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, taken).ok()
    }

    /// Gives a place back.
    pub(super) fn release(&self) {
        self.held.fetch_sub(1, Ordering::AcqRel);
    }

    fn left(&self) -> usize {
        let next = self.next.load(Ordering::Acquire);
        self.end.load(Ordering::Acquire).saturating_sub(next)
    }

    /// How many more participants would find a place and a unit; an instant's picture.
    pub(super) fn wanted(&self) -> usize {
        self.left().min(self.places.saturating_sub(self.held.load(Ordering::Acquire)))
    }

    /// Whether a unit is left that has not been started.
    pub(super) fn unstarted(&self) -> bool {
        self.left() > 0
    }

    /// The next unit.
    pub(super) fn next(&self) -> Option<Range<usize>> {
        let end = self.end.load(Ordering::Acquire);
        let taken =
            self.next.fetch_update(Ordering::AcqRel, Ordering::Acquire, |next| (next < end).then_some(next + 1));
        taken.ok().map(|unit| unit..unit + 1)
    }
}
