//! Coroutines of codecs, as tasks that the threads of one call leave for its event loop. The loop wakes once for all tasks that
//! wait, and a thread waits for its reply without the GIL. Which codecs these are: `python/zarrs/_codecs/python_steps.py`; how
//! the loop runs them: `python/zarrs/_codecs/python_calls.py`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::prelude::*;

use crate::bindings::bytes::{OwnedBytes, with_bytes};
use crate::concurrency::{self, Latch, locked};

/// Bytes of a reply that the loop's thread copies; more are copied by the thread that waits for them.
const COPIED: usize = 128 << 10;
/// How long a thread waits before it looks whether its call was given up.
const LOOK: Duration = Duration::from_millis(50);

/// The tasks of one call that its event loop has not taken yet.
#[derive(Default)]
pub struct LoopQueue {
    tasks: Mutex<Vec<LoopTask>>,
    /// Whether the loop was called and has not taken the tasks yet.
    called: AtomicBool,
    given_up: AtomicBool,
}

/// `input`, to be encoded or decoded by `steps`.
struct LoopTask {
    steps: Arc<Py<PyAny>>,
    encodes: bool,
    input: Vec<u8>,
    reply: Arc<Latch<Reply>>,
}

/// What the loop returns.
pub enum Reply {
    /// Bytes, copied already.
    Bytes(Vec<u8>),
    /// An object with many bytes.
    Object(Py<PyAny>),
    /// Python's None.
    Nothing,
    /// An exception.
    Raised(PyErr),
    /// Nothing: the call was given up, or its loop is closed.
    Abandoned,
}

/// Where the loop puts its reply.
#[pyclass(frozen, module = "zarrs._internal", name = "Reply")]
pub struct PyReply(Arc<Latch<Reply>>);

impl PyReply {
    fn set(&self, reply: Reply) {
        // A second reply to one task is dropped.
        drop(self.0.set(reply));
    }
}

#[pymethods]
impl PyReply {
    /// Replies with `value`, which has a buffer or is None.
    fn finish(&self, value: Bound<'_, PyAny>) {
        if value.is_none() {
            return self.set(Reply::Nothing);
        }
        let copied = with_bytes(&value, |bytes| {
            let mut copy = Vec::new();
            let fits = bytes.len() <= COPIED && copy.try_reserve_exact(bytes.len()).is_ok();
            fits.then(|| {
                copy.extend_from_slice(bytes);
                copy
            })
        });
        self.set(match copied {
            Ok(Some(bytes)) => Reply::Bytes(bytes),
            Ok(None) => Reply::Object(value.unbind()),
            Err(error) => Reply::Raised(error),
        });
    }

    /// Replies with an exception.
    fn fail(&self, error: Bound<'_, PyAny>) {
        self.set(Reply::Raised(PyErr::from_value(error)));
    }
}

/// One task as Python takes it: the steps, whether they encode, their input, and where the reply goes.
type Taken = (Py<PyAny>, bool, OwnedBytes, PyReply);

impl LoopQueue {
    /// Waits until the loop has run `steps` over `input`. `call` wakes the loop, `closed` says whether it is closed; both attach
    /// to Python.
    pub fn wait(
        &self,
        steps: &Arc<Py<PyAny>>,
        encodes: bool,
        input: Vec<u8>,
        call: impl FnOnce(),
        closed: impl Fn() -> bool,
    ) -> Reply {
        let reply = Arc::new(Latch::default());
        locked(&self.tasks).push(LoopTask { steps: Arc::clone(steps), encodes, input, reply: Arc::clone(&reply) });
        // Set before the loop is called and cleared before it takes the tasks: no task is left without a call.
        if !self.called.swap(true, Ordering::AcqRel) {
            call();
        }
        loop {
            reply.wait_timeout(LOOK);
            if let Some(reply) = reply.take() {
                return reply;
            }
            if self.is_given_up() || closed() {
                locked(&self.tasks).retain(|task| !Arc::ptr_eq(&task.reply, &reply));
                return Reply::Abandoned;
            }
        }
    }

    /// Makes the threads that wait give up.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether the result of the call is not wanted any more.
    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed) || concurrency::is_shut_down()
    }

    /// The tasks that wait by now; on the loop's thread.
    pub fn take(&self, py: Python<'_>) -> Vec<Taken> {
        self.called.store(false, Ordering::Release);
        let tasks = std::mem::take(&mut *locked(&self.tasks));
        tasks
            .into_iter()
            .map(|task| (task.steps.clone_ref(py), task.encodes, OwnedBytes::new(task.input), PyReply(task.reply)))
            .collect()
    }
}
