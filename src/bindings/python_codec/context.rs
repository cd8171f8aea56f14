//! The call that a Python codec runs for: its `contextvars` context, and its event loop.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::loop_queue::LoopQueue;
use crate::codec::bytes_to_bytes::PythonCall;
use crate::concurrency::locked;

/// What Python codecs may ask of the call that they run for.
#[pyclass(frozen, module = "zarrs._internal")]
pub struct Caller {
    /// How its event loop is woken (`python_calls.Inbox`); None where no codec has coroutines.
    #[pyo3(get)]
    pub inbox: Option<Py<PyAny>>,
    /// The context of the call, to be copied.
    #[pyo3(get)]
    context: Py<PyAny>,
    queue: Arc<LoopQueue>,
}

#[pymethods]
impl Caller {
    /// The tasks that its threads have left for the event loop by now.
    fn wanted<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.queue.take(py))
    }
}

/// One call's Python codecs, shared by the threads that run its units.
pub struct Context {
    /// Taken when the call has ended.
    caller: Mutex<Option<Py<Caller>>>,
    /// The tasks that they leave for the event loop.
    pub queue: Arc<LoopQueue>,
}

impl Context {
    /// The context of the call that this thread makes; it must run an event loop if a codec needs one.
    pub fn here(py: Python<'_>, kind: PythonCall) -> PyResult<Arc<Self>> {
        let inbox = || {
            let event_loop = py.import(intern!(py, "asyncio"))?.call_method0(intern!(py, "get_running_loop"))?;
            let inbox = py.import(intern!(py, "zarrs._codecs.python_calls"))?.getattr(intern!(py, "Inbox"))?;
            inbox.call1((event_loop,)).map(Bound::unbind)
        };
        let inbox = (kind == PythonCall::EventLoop).then(inbox).transpose()?;
        let context = py.import(intern!(py, "contextvars"))?.call_method0(intern!(py, "copy_context"))?;
        let queue = Arc::new(LoopQueue::default());
        let caller = Py::new(py, Caller { inbox, context: context.unbind(), queue: Arc::clone(&queue) })?;
        Ok(Arc::new(Self { caller: Mutex::new(Some(caller)), queue }))
    }

    /// The caller, as long as the call has not ended.
    pub fn caller(&self, py: Python<'_>) -> Option<Py<Caller>> {
        locked(&self.caller).as_ref().map(|caller| caller.clone_ref(py))
    }

    /// Ends the call: the objects to drop, on a thread that is attached.
    pub fn end(&self) -> Option<Py<Caller>> {
        locked(&self.caller).take()
    }
}

thread_local! {
    /// The call that this thread works for. Set only while a unit runs, so a forked child's thread has its own call's.
    static WORKS_FOR: RefCell<Option<Arc<Context>>> = const { RefCell::new(None) };
}

/// While it lives, this thread works for one call.
pub struct Scope(Option<Arc<Context>>);

impl Scope {
    /// Until the scope is dropped, codecs on this thread run for `context`.
    pub fn enter(context: &Arc<Context>) -> Self {
        Self(WORKS_FOR.replace(Some(Arc::clone(context))))
    }

    /// The call that this thread works for.
    pub fn current() -> Option<Arc<Context>> {
        WORKS_FOR.with_borrow(Clone::clone)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let _ = WORKS_FOR.replace(self.0.take());
    }
}
