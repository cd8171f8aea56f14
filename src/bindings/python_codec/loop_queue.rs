//! What the threads of one call want from its event loop: coroutines of codecs. The loop wakes once for all that were wanted
//! since, and a thread waits for its answer without the GIL. Which codecs: `python/zarrs/_codecs/python_steps.py`; how the loop runs
//! them: `python/zarrs/_codecs/python_calls.py`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;

use crate::bindings::bytes::{OwnedBytes, with_bytes};
use crate::concurrency::{self, locked};

/// Bytes of an answer that the loop's thread copies; more are copied by the thread that wants them.
const COPIED: usize = 128 << 10;
/// How long a thread waits before it looks whether anybody still wants its answer.
const LOOK: Duration = Duration::from_millis(50);

/// The tasks of one call that its event loop has not taken yet.
#[derive(Default)]
pub struct LoopQueue {
    wanted: Mutex<Vec<LoopTask>>,
    /// Whether the loop was called and has not looked yet.
    called: AtomicBool,
    given_up: AtomicBool,
}

/// What becomes of `input` when `steps` encode or decode it.
struct LoopTask {
    steps: Arc<Py<PyAny>>,
    encodes: bool,
    input: Vec<u8>,
    answer: Arc<Answer>,
}

/// What the loop gave.
pub enum Reply {
    /// Bytes, copied already.
    Bytes(Vec<u8>),
    /// An object with many bytes.
    Object(Py<PyAny>),
    /// Python's None.
    Nothing,
    /// An exception.
    Raised(PyErr),
    /// Nothing, and nobody wants it any more.
    Abandoned,
}

/// Where a thread waits for what the loop gives.
#[derive(Default)]
struct Answer {
    given: Mutex<Option<Reply>>,
    there: Condvar,
}

impl Answer {
    fn lock(&self) -> MutexGuard<'_, Option<Reply>> {
        locked(&self.given)
    }
}

/// An answer, as the loop gives it.
#[pyclass(frozen, module = "zarrs._internal", name = "Reply")]
pub struct PyReply(Arc<Answer>);

impl PyReply {
    fn give(&self, given: Reply) {
        *self.0.lock() = Some(given);
        self.0.there.notify_one();
    }
}

#[pymethods]
impl PyReply {
    /// Gives `value`, which has a buffer or is None.
    fn finish(&self, value: Bound<'_, PyAny>) {
        if value.is_none() {
            return self.give(Reply::Nothing);
        }
        let copied = with_bytes(&value, |bytes| {
            let mut copy = Vec::new();
            let fits = bytes.len() <= COPIED && copy.try_reserve_exact(bytes.len()).is_ok();
            fits.then(|| {
                copy.extend_from_slice(bytes);
                copy
            })
        });
        self.give(match copied {
            Ok(Some(bytes)) => Reply::Bytes(bytes),
            Ok(None) => Reply::Object(value.unbind()),
            Err(error) => Reply::Raised(error),
        });
    }

    /// Gives an exception.
    fn fail(&self, error: Bound<'_, PyAny>) {
        self.give(Reply::Raised(PyErr::from_value(error)));
    }
}

/// One task as Python takes it: the steps, whether they encode, what they are given, and where the answer goes.
type Taken = (Py<PyAny>, bool, OwnedBytes, PyReply);

impl LoopQueue {
    fn lock(&self) -> MutexGuard<'_, Vec<LoopTask>> {
        locked(&self.wanted)
    }

    /// Waits until the loop has run `steps` over `input`. `call` calls the loop, `closed` says whether that is closed; both
    /// attach to Python.
    pub fn wait(
        &self,
        steps: &Arc<Py<PyAny>>,
        encodes: bool,
        input: Vec<u8>,
        call: impl FnOnce(),
        closed: impl Fn() -> bool,
    ) -> Reply {
        let answer = Arc::new(Answer::default());
        self.lock().push(LoopTask { steps: Arc::clone(steps), encodes, input, answer: Arc::clone(&answer) });
        // Set before the loop looks and cleared before it takes the loop_queue: none is left without a call.
        if !self.called.swap(true, Ordering::AcqRel) {
            call();
        }
        let mut given = answer.lock();
        loop {
            if let Some(given) = given.take() {
                return given;
            }
            let (guard, waited) = answer.there.wait_timeout(given, LOOK).unwrap_or_else(PoisonError::into_inner);
            given = guard;
            if given.is_none() && waited.timed_out() {
                drop(given);
                if self.stopped() || closed() {
                    self.lock().retain(|task| !Arc::ptr_eq(&task.answer, &answer));
                    return Reply::Abandoned;
                }
                given = answer.lock();
            }
        }
    }

    /// Makes those who wait give up.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether nobody wants the result of the call any more.
    pub fn stopped(&self) -> bool {
        self.given_up.load(Ordering::Relaxed) || concurrency::is_shut_down()
    }

    /// What is wanted by now, on the loop's thread.
    pub fn take(&self, py: Python<'_>) -> Vec<Taken> {
        self.called.store(false, Ordering::Release);
        let wanted = std::mem::take(&mut *self.lock());
        wanted
            .into_iter()
            .map(|task| (task.steps.clone_ref(py), task.encodes, OwnedBytes::new(task.input), PyReply(task.answer)))
            .collect()
    }
}
