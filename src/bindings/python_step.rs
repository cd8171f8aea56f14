//! A run of Python codecs as one bytes-to-bytes step: attaching, handing bytes over, and whose call it is.
//! Which codecs, and what they are given: `python/zarrs/_codecs/python_steps.py`.

use std::cell::RefCell;
use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::bindings::loop_queue::{LoopQueue, Reply};
use crate::bindings::owned::{OwnedBytes, with_bytes};
use crate::bindings::work::Completion;
use crate::codec::bytes_to_bytes::{PythonCall, Step, copy_exactly};
use crate::error::{Error, Kind, Result};
use crate::memory::OutBytes;

/// Python codecs between bytes and bytes.
#[derive(Debug)]
pub struct PythonStep {
    steps: Arc<Py<PyAny>>,
    encodes_on_loop: bool,
    decodes_on_loop: bool,
}

/// What Python codecs may ask of the call that they work for.
#[pyclass(frozen, module = "zarrs._internal")]
pub struct Caller {
    /// How its event loop is called (`python_calls.Inbox`); None where no codec has coroutines.
    #[pyo3(get)]
    inbox: Option<Py<PyAny>>,
    /// The context of the call, to be copied.
    #[pyo3(get)]
    context: Py<PyAny>,
    loop_queue: Arc<LoopQueue>,
}

#[pymethods]
impl Caller {
    /// What its threads want from the event loop by now.
    fn wanted<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.loop_queue.take(py))
    }
}

impl Caller {
    /// The caller as it is on this thread, which must run an event loop if one of its codecs `waits`.
    pub fn here(py: Python<'_>, waits: bool) -> PyResult<Py<Self>> {
        let inbox = || {
            let event_loop = py.import(intern!(py, "asyncio"))?.call_method0(intern!(py, "get_running_loop"))?;
            let inbox = py.import(intern!(py, "zarrs._codecs.python_calls"))?.getattr(intern!(py, "Inbox"))?;
            inbox.call1((event_loop,)).map(Bound::unbind)
        };
        let inbox = waits.then(inbox).transpose()?;
        let context = py.import(intern!(py, "contextvars"))?.call_method0(intern!(py, "copy_context"))?;
        Py::new(py, Self { inbox, context: context.unbind(), loop_queue: Arc::default() })
    }

    /// What the call wants from its event loop.
    pub fn loop_queue(&self) -> &Arc<LoopQueue> {
        &self.loop_queue
    }

    /// Makes codecs that wait give up.
    pub fn give_up(&self) {
        self.loop_queue.give_up();
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

/// What was said when the call was given up.
const GIVEN_UP: &str = "the call was given up, or its event loop closed, while a codec ran";
const SHUTTING_DOWN: &str = "cannot run a Python codec: the interpreter is shutting down";

impl PythonStep {
    /// The step for `steps`, an object with `encode`, `decode`, `encodes_on_loop` and `decodes_on_loop`.
    pub fn new(steps: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = steps.py();
        Ok(Self {
            encodes_on_loop: steps.getattr(intern!(py, "encodes_on_loop"))?.is_truthy()?,
            decodes_on_loop: steps.getattr(intern!(py, "decodes_on_loop"))?.is_truthy()?,
            steps: Arc::new(steps.clone().unbind()),
        })
    }

    /// Encodes or decodes a copy of `input` and hands what comes of it to `take`; `None` for Python's.
    ///
    /// The copy is what makes it safe that a codec keeps what it was given.
    fn call<R>(&self, encodes: bool, input: &[u8], take: impl FnOnce(Option<&[u8]>) -> Result<R>) -> Result<R> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(input.len())
            .map_err(|_| Error::new(Kind::Memory, format!("cannot allocate {} bytes", input.len())))?;
        copy.extend_from_slice(input);
        let completion = WORKS_FOR.with_borrow(Clone::clone);
        let completion = completion.expect("invariant: units with Python codecs run in a scope");
        let there = if encodes { self.encodes_on_loop } else { self.decodes_on_loop };
        if there { self.ask(&completion, encodes, copy).hand(take) } else { self.run(&completion, encodes, copy, take) }
    }

    /// On this thread.
    fn run<R>(
        &self,
        completion: &Completion,
        encodes: bool,
        input: Vec<u8>,
        take: impl FnOnce(Option<&[u8]>) -> Result<R>,
    ) -> Result<R> {
        let called = Python::try_attach(|py| {
            let call = || -> PyResult<Bound<'_, PyAny>> {
                let caller = completion.caller(py).expect("invariant: a completion with Python codecs has a caller");
                let method = if encodes { intern!(py, "encode") } else { intern!(py, "decode") };
                self.steps.bind(py).call_method1(method, (Py::new(py, OwnedBytes::new(input))?, caller))
            };
            let given = call().map_err(raised)?;
            if given.is_none() { take(None) } else { with_bytes(&given, |bytes| take(Some(bytes))).map_err(raised)? }
        });
        called.unwrap_or_else(|| Err(Error::runtime(SHUTTING_DOWN)))
    }

    /// On the event loop of the call.
    fn ask(&self, completion: &Completion, encodes: bool, input: Vec<u8>) -> Reply {
        let loop_queue = completion.loop_queue().expect("invariant: a completion with Python codecs has loop_queue");
        let of_inbox = |method: &str| {
            Python::try_attach(|py| {
                let caller = completion.caller(py)?;
                let inbox = caller.get().inbox.as_ref()?.clone_ref(py);
                // On a closed loop nothing is called; whoever waits finds that out.
                inbox.call_method1(py, method, (caller,)).and_then(|found| found.is_truthy(py)).ok()
            })
            .flatten()
        };
        let given = loop_queue.wait(
            &self.steps,
            encodes,
            input,
            || {
                of_inbox("call");
            },
            || of_inbox("is_closed").unwrap_or(true),
        );
        if matches!(given, Reply::Abandoned) {
            of_inbox("cancel");
        }
        given
    }
}

impl Reply {
    /// Hands it to `take`, on the thread that wanted it.
    fn hand<R>(self, take: impl FnOnce(Option<&[u8]>) -> Result<R>) -> Result<R> {
        match self {
            Self::Bytes(bytes) => take(Some(&bytes)),
            Self::Nothing => take(None),
            Self::Raised(error) => Err(raised(error)),
            Self::Abandoned => Err(Error::runtime(GIVEN_UP)),
            Self::Object(object) => {
                let mut object = Some(object);
                let taken = Python::try_attach(|py| {
                    let object = object.take().expect("invariant: taken once").into_bound(py);
                    with_bytes(&object, |bytes| take(Some(bytes))).map_err(raised)?
                });
                // The interpreter is gone.
                std::mem::forget(object);
                taken.unwrap_or_else(|| Err(Error::runtime(SHUTTING_DOWN)))
            }
        }
    }
}

/// An exception of Python code on its way through the format. Of several only one arrives: the others are let go by a
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
    Error::new(Kind::Python(Box::new(Raised(Some(exception)))), "raised by a Python codec")
}

/// None instead of a chunk.
fn nothing() -> Error {
    Error::new(Kind::Dropped, "a Python codec gave None")
}

impl Step for PythonStep {
    fn encode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.call(true, input, |bytes| append(bytes.ok_or_else(nothing)?, out))
    }

    fn decode_into(&self, input: &[u8], place: OutBytes<'_>) -> Result<()> {
        self.call(false, input, |bytes| copy_exactly(bytes.ok_or_else(nothing)?, place))
    }

    /// Without a limit: all bytes are there when there is anything to count.
    fn decode_onto(&self, input: &[u8], out: &mut Vec<u8>, _limit: usize) -> Result<()> {
        self.call(false, input, |bytes| append(bytes.ok_or_else(nothing)?, out))
    }

    /// Nobody knows.
    fn longest_encoded(&self, _decoded: usize) -> usize {
        usize::MAX
    }

    fn python_call(&self) -> Option<PythonCall> {
        Some(if self.encodes_on_loop || self.decodes_on_loop { PythonCall::EventLoop } else { PythonCall::AnyThread })
    }
}

fn append(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.try_reserve(bytes.len())
        .map_err(|_| Error::new(Kind::Memory, format!("cannot allocate {} bytes", bytes.len())))?;
    out.extend_from_slice(bytes);
    Ok(())
}
