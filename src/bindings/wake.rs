//! Waking a coroutine: an event loop is asked, from any thread, to call a function with a future.

use pyo3::intern;
use pyo3::prelude::*;

use crate::bindings::errors::drop_attached;

/// What wakes one waiting coroutine.
pub struct Waker {
    /// The loop that it waits on.
    pub event_loop: Py<PyAny>,
    /// What the loop calls.
    pub callback: Py<PyAny>,
    /// The future that it is called with, which may be done already.
    pub future: Py<PyAny>,
}

impl Waker {
    /// Asks the loop to call; it may be closed by now, and then no coroutine waits any more. Takes the GIL, so no lock may be
    /// held.
    pub fn wake(self) {
        let mut waker = Some(self);
        Python::try_attach(|py| {
            let Some(Self { event_loop, callback, future }) = waker.take() else { return };
            drop(event_loop.call_method1(py, intern!(py, "call_soon_threadsafe"), (callback, future)));
        });
        drop_attached(waker);
    }
}
