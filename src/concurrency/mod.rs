//! Threads: private pools that survive a fork, jobs whose units are shared out and stolen, cancellation, and latches
//! to wait on. Knows nothing of what a unit of work is.
//!
//! A caller describes its units as a [`Work`], and either runs them itself ([`run_inline`]) or hands them to the pool
//! ([`submit`], [`submit_and_help`]). All process state hangs from one pointer in `pool.rs`, so that a forked child starts
//! from nothing.

mod cpus;
mod feed;
mod job;
mod latch;
mod pool;
mod ranges;
#[cfg(test)]
mod tests;
mod workers;

pub use cpus::cpus;
pub use job::{Job, Limits, Outcome, Work, caught};
pub use latch::{Callback, Latch};
pub use pool::{active, is_shut_down, run_inline, shutdown, shutdown_within, submit, submit_and_help};
pub(crate) use workers::locked;
