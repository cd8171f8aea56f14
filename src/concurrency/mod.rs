//! Threads: private pools that survive a fork, jobs whose units are shared out and stolen or pushed one by one, cancellation,
//! and a latch to wait for a result. Does not know what a unit of work is.
//!
//! A caller describes its units as a [`Work`], and runs them itself ([`run_inline`]), hands them to a pool ([`submit`],
//! [`submit_and_help`]), or pushes them as they come ([`open`]). All process state hangs from one pointer in `process.rs`, so
//! that a forked child starts from nothing.
#![cfg_attr(
    not(feature = "python"),
    allow(dead_code, unused_imports, reason = "the bindings are the only caller of most of it")
)]

mod cpus;
mod feed;
mod job;
mod latch;
mod lock;
mod pool;
mod process;
mod ranges;
#[cfg(test)]
mod tests;
mod work;
mod workers;

pub(crate) use cpus::cpus;
pub(crate) use job::Job;
pub(crate) use latch::Latch;
pub(crate) use lock::locked;
#[cfg(test)]
pub(crate) use pool::shutdown_within;
pub(crate) use pool::{active, is_shut_down, open, run_inline, shutdown, submit, submit_and_help};
pub(crate) use work::{Limits, Outcome, Work, caught, participants};
