//! Threads: private pools that survive a fork, jobs whose units are shared out and stolen, cancellation, the split between
//! chunks and codecs, and a bound on the bytes in flight. Knows nothing of what a unit of work is.
//!
//! A caller describes its units as a [`Work`], and either runs them itself ([`run_inline`]) or hands them to the pool
//! ([`submit`], [`submit_and_help`]). All process state hangs from one pointer in `pool.rs`, so that a forked child starts
//! from nothing.

mod budget;
mod cpus;
mod job;
mod pool;
mod ranges;
mod split;
#[cfg(test)]
mod tests;
mod workers;

pub use budget::{BYTES_IN_FLIGHT, Budget, Permit, in_flight};
pub use cpus::cpus;
pub use job::{Job, Limits, Outcome, Work, panicked};
pub use pool::{active, is_shut_down, run_inline, shutdown, shutdown_within, submit, submit_and_help};
pub use split::{CHUNK_CONCURRENT_MINIMUM, Split, split};
