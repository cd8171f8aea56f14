//! A run of Python codecs as one bytes-to-bytes step: attaching, and handing bytes over. The codec may block indefinitely, so
//! a step never runs on the thread of an event loop.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;

use super::context::{Context, Scope};
use super::loop_queue::Reply;
use crate::bindings::bytes::{OwnedBytes, with_bytes};
use crate::bindings::errors::Raised;
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

    /// Encodes or decodes a copy of `input` and passes the result to `take`; `None` for Python's None.
    ///
    /// A codec may keep its input, so it must be a copy.
    fn call<R>(&self, encodes: bool, input: &[u8], take: impl FnOnce(Option<&[u8]>) -> Result<R>) -> Result<R> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(input.len())
            .map_err(|_| Error::new(Kind::Memory, format!("cannot allocate {} bytes", input.len())))?;
        copy.extend_from_slice(input);
        let context = Scope::current().expect("invariant: units with Python codecs run in a scope");
        let on_loop = if encodes { self.encodes_on_loop } else { self.decodes_on_loop };
        if on_loop { self.ask(&context, encodes, copy).pass_to(take) } else { self.run(&context, encodes, copy, take) }
    }

    /// On this thread.
    fn run<R>(
        &self,
        context: &Context,
        encodes: bool,
        input: Vec<u8>,
        take: impl FnOnce(Option<&[u8]>) -> Result<R>,
    ) -> Result<R> {
        let called = Python::try_attach(|py| {
            let call = || -> PyResult<Bound<'_, PyAny>> {
                let caller =
                    context.caller(py).expect("invariant: a call with Python codecs has a caller until it ends");
                let method = if encodes { intern!(py, "encode") } else { intern!(py, "decode") };
                self.steps.bind(py).call_method1(method, (Py::new(py, OwnedBytes::new(input))?, caller))
            };
            let given = call().map_err(raised)?;
            if given.is_none() { take(None) } else { with_bytes(&given, |bytes| take(Some(bytes))).map_err(raised)? }
        });
        called.unwrap_or_else(|| Err(Error::runtime(SHUTTING_DOWN)))
    }

    /// On the event loop of the call.
    fn ask(&self, context: &Context, encodes: bool, input: Vec<u8>) -> Reply {
        let of_inbox = |method: &str| {
            Python::try_attach(|py| {
                let caller = context.caller(py)?;
                let inbox = caller.get().inbox.as_ref()?.clone_ref(py);
                // A closed loop calls nothing; the thread that waits finds that out.
                inbox.call_method1(py, method, (caller,)).and_then(|found| found.is_truthy(py)).ok()
            })
            .flatten()
        };
        let reply = context.queue.wait(
            &self.steps,
            encodes,
            input,
            || {
                of_inbox("call");
            },
            || of_inbox("is_closed").unwrap_or(true),
        );
        if matches!(reply, Reply::Abandoned) {
            of_inbox("cancel");
        }
        reply
    }
}

impl Reply {
    /// Passes it to `take`, on the thread that waited for it.
    fn pass_to<R>(self, take: impl FnOnce(Option<&[u8]>) -> Result<R>) -> Result<R> {
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

fn raised(exception: PyErr) -> Error {
    Error::new(Kind::Python(Box::new(Raised::new(exception))), "raised by a Python codec")
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

    /// A codec says nothing about it.
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
