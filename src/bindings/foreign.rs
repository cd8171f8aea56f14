//! A run of Python codecs as one bytes-to-bytes step: attaching, handing bytes over, and whose call it is.
//! Which codecs, and what they are given: `python/zarrs/_python_steps.py`.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::intern;
use pyo3::prelude::*;

use crate::bindings::owned::{OwnedBytes, with_bytes};
use crate::bindings::work::Completion;
use crate::codec::bytes_to_bytes::{BytesToBytes, Foreign, copy_exactly};
use crate::concurrency;
use crate::error::{Error, Kind, Result};
use crate::memory::Place;

/// Python codecs between bytes and bytes.
#[derive(Debug)]
pub struct ForeignStep {
    steps: Py<PyAny>,
    kind: Foreign,
}

/// What Python codecs may ask of the call that they work for.
#[pyclass(frozen, module = "zarrs._internal")]
pub struct Caller {
    /// Where coroutines for it are left (`_python_calls.Inbox`); None where no codec has any.
    #[pyo3(get)]
    inbox: Option<Py<PyAny>>,
    /// The context of the call, to be copied.
    #[pyo3(get)]
    context: Py<PyAny>,
    given_up: AtomicBool,
}

#[pymethods]
impl Caller {
    /// Whether nobody wants the result any more.
    fn stopped(&self) -> bool {
        self.given_up.load(Ordering::Relaxed) || concurrency::is_shut_down()
    }
}

impl Caller {
    /// The caller as it is on this thread, which must run an event loop if one of its codecs `waits`.
    pub fn here(py: Python<'_>, waits: bool) -> PyResult<Py<Self>> {
        let inbox = || {
            let event_loop = py.import(intern!(py, "asyncio"))?.call_method0(intern!(py, "get_running_loop"))?;
            let inbox = py.import(intern!(py, "zarrs._python_calls"))?.getattr(intern!(py, "Inbox"))?;
            inbox.call1((event_loop,)).map(Bound::unbind)
        };
        let inbox = waits.then(inbox).transpose()?;
        let context = py.import(intern!(py, "contextvars"))?.call_method0(intern!(py, "copy_context"))?;
        Py::new(py, Self { inbox, context: context.unbind(), given_up: AtomicBool::new(false) })
    }

    /// Makes codecs that wait give up.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

thread_local! {
    /// For whom this thread works. Set only while a unit runs, so a forked child's thread has its own call's.
    static WORKS_FOR: RefCell<Option<Arc<Completion>>> = const { RefCell::new(None) };
}

/// This thread works for one call as long as it lives.
pub struct Scope(Option<Arc<Completion>>);

impl Scope {
    /// Until the scope is dropped, codecs are called for `completion`'s caller.
    pub fn enter(completion: &Arc<Completion>) -> Self {
        Self(WORKS_FOR.replace(Some(Arc::clone(completion))))
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let _ = WORKS_FOR.replace(self.0.take());
    }
}

impl ForeignStep {
    /// The step for `steps`, an object with `encode`, `decode` and `waits`.
    pub fn new(steps: &Bound<'_, PyAny>) -> PyResult<Self> {
        let waits = steps.getattr(intern!(steps.py(), "waits"))?.is_truthy()?;
        Ok(Self { steps: steps.clone().unbind(), kind: if waits { Foreign::Waits } else { Foreign::Calls } })
    }

    /// Calls `method` with a copy of `input` and hands what it gives to `take`; `None` for Python's.
    ///
    /// The copy is what makes it safe that a codec keeps what it was given.
    fn call<R>(&self, method: &str, input: &[u8], take: impl FnOnce(Option<&[u8]>) -> Result<R>) -> Result<R> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(input.len())
            .map_err(|_| Error::new(Kind::Memory, format!("cannot allocate {} bytes", input.len())))?;
        copy.extend_from_slice(input);
        let completion = WORKS_FOR.with_borrow(Clone::clone);
        let called = Python::try_attach(|py| {
            let call = || -> PyResult<Bound<'_, PyAny>> {
                let caller = completion.as_deref().and_then(|completion| completion.caller(py));
                let caller = caller.expect("invariant: units with Python codecs run in a scope with a caller");
                let input = Py::new(py, OwnedBytes::new(copy))?;
                self.steps.bind(py).call_method1(method, (input, caller))
            };
            let given = call().map_err(raised)?;
            if given.is_none() { take(None) } else { with_bytes(&given, |bytes| take(Some(bytes))).map_err(raised)? }
        });
        called.unwrap_or_else(|| Err(Error::runtime("cannot run a Python codec: the interpreter is shutting down")))
    }
}

/// An exception of Python code on its way through the engine. Of several only one arrives: the others are let go by a
/// thread that has no GIL, and must take it.
pub struct Raised(Option<PyErr>);

impl Raised {
    /// The exception.
    pub fn into_inner(mut self) -> Option<PyErr> {
        self.0.take()
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        let mut left = self.0.take();
        if left.is_some() {
            Python::try_attach(|_| drop(left.take()));
            // The interpreter is gone.
            std::mem::forget(left);
        }
    }
}

fn raised(exception: PyErr) -> Error {
    Error::new(Kind::Foreign(Box::new(Raised(Some(exception)))), "raised by a Python codec")
}

/// None instead of a chunk.
fn nothing() -> Error {
    Error::new(Kind::Dropped, "a Python codec gave None")
}

impl BytesToBytes for ForeignStep {
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.call("encode", input, |bytes| append(bytes.ok_or_else(nothing)?, out))
    }

    fn decode_into(&self, input: &[u8], place: Place<'_>) -> Result<()> {
        self.call("decode", input, |bytes| copy_exactly(bytes.ok_or_else(nothing)?, place))
    }

    /// Without a limit: all bytes are there when there is anything to count.
    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, _limit: usize) -> Result<()> {
        self.call("decode", input, |bytes| append(bytes.ok_or_else(nothing)?, out))
    }

    /// Nobody knows.
    fn longest_encoded(&self, _decoded: usize) -> usize {
        usize::MAX
    }

    fn foreign(&self) -> Option<Foreign> {
        Some(self.kind)
    }
}

fn append(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.try_reserve(bytes.len())
        .map_err(|_| Error::new(Kind::Memory, format!("cannot allocate {} bytes", bytes.len())))?;
    out.extend_from_slice(bytes);
    Ok(())
}
