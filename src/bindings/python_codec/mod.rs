//! Codecs implemented in Python, as steps of a chain: the step itself, the call that it runs for, and the tasks that it leaves
//! for an event loop. Which codecs these are is decided in `python/zarrs/_codecs`.

mod context;
mod loop_queue;
mod step;

pub use context::{Caller, Context, Scope};
pub use loop_queue::PyReply;
pub use step::PythonStep;

/// Chunks in flight where codecs wait for the event loop, which takes no CPU: zarr's own default of `async.concurrency`.
pub const WAITING: usize = 10;
