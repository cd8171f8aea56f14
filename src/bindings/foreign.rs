//! A run of Python codecs as one bytes-to-bytes step: attaching, handing bytes over, and whose call it is.
//! Which codecs, and what they are given: `python/zarrs/_python_steps.py`.

use std::cell::RefCell;
use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::bindings::owned::{OwnedBytes, with_bytes};
use crate::bindings::wishes::{Given, Wishes};
use crate::bindings::work::Completion;
use crate::codec::bytes_to_bytes::{BytesToBytes, Foreign, copy_exactly};
use crate::error::{Error, Kind, Result};
use crate::memory::Place;

/// Python codecs between bytes and bytes.
#[derive(Debug)]
pub struct ForeignStep {
    steps: Arc<Py<PyAny>>,
    encodes_there: bool,
    decodes_there: bool,
}

/// What Python codecs may ask of the call that they work for.
#[pyclass(frozen, module = "zarrs._internal")]
pub struct Caller {
    /// How its event loop is called (`_python_calls.Inbox`); None where no codec has coroutines.
    #[pyo3(get)]
    inbox: Option<Py<PyAny>>,
    /// The context of the call, to be copied.
    #[pyo3(get)]
    context: Py<PyAny>,
    wishes: Arc<Wishes>,
}

#[pymethods]
impl Caller {
    /// What its threads want from the event loop by now.
    fn wanted<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.wishes.take(py))
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
        Py::new(py, Self { inbox, context: context.unbind(), wishes: Arc::default() })
    }

    /// What the call wants from its event loop.
    pub fn wishes(&self) -> &Arc<Wishes> {
        &self.wishes
    }

    /// Makes codecs that wait give up.
    pub fn give_up(&self) {
        self.wishes.give_up();
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

impl ForeignStep {
    /// The step for `steps`, an object with `encode`, `decode`, `encodes_there` and `decodes_there`.
    pub fn new(steps: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = steps.py();
        Ok(Self {
            encodes_there: steps.getattr(intern!(py, "encodes_there"))?.is_truthy()?,
            decodes_there: steps.getattr(intern!(py, "decodes_there"))?.is_truthy()?,
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
        let there = if encodes { self.encodes_there } else { self.decodes_there };
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
    fn ask(&self, completion: &Completion, encodes: bool, input: Vec<u8>) -> Given {
        let wishes = completion.wishes().expect("invariant: a completion with Python codecs has wishes");
        let of_inbox = |method: &str| {
            Python::try_attach(|py| {
                let caller = completion.caller(py)?;
                let inbox = caller.get().inbox.as_ref()?.clone_ref(py);
                // On a closed loop nothing is called; whoever waits finds that out.
                inbox.call_method1(py, method, (caller,)).and_then(|found| found.is_truthy(py)).ok()
            })
            .flatten()
        };
        let given = wishes.wait(
            &self.steps,
            encodes,
            input,
            || {
                of_inbox("call");
            },
            || of_inbox("is_closed").unwrap_or(true),
        );
        if matches!(given, Given::Abandoned) {
            of_inbox("cancel");
        }
        given
    }
}

impl Given {
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
        self.call(true, input, |bytes| append(bytes.ok_or_else(nothing)?, out))
    }

    fn decode_into(&self, input: &[u8], place: Place<'_>) -> Result<()> {
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

    fn foreign(&self) -> Option<Foreign> {
        Some(if self.encodes_there || self.decodes_there { Foreign::Waits } else { Foreign::Calls })
    }
}

fn append(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.try_reserve(bytes.len())
        .map_err(|_| Error::new(Kind::Memory, format!("cannot allocate {} bytes", bytes.len())))?;
    out.extend_from_slice(bytes);
    Ok(())
}
