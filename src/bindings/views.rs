//! The array that a batch fills, or is written from, as a view of checked elements.
#![allow(unsafe_code, reason = "vouches for NumPy memory while the pool works on it")]

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::bindings::batch::Items;
use crate::bindings::errors::overlapping_output;
use crate::bindings::numpy::ArrayView;
use crate::bindings::selection::Direction;
use crate::bindings::vlen::{self, PendingElements};
use crate::memory::{Element, SharedView, Swap};
use crate::pipeline::{Batch, ChunkFormat};

/// Which groups of bytes change order between stored and in-memory elements.
#[derive(FromPyObject)]
pub enum SwapSpec {
    /// All groups of so many bytes.
    Uniform(usize),
    /// Offset, group size and number of groups of each field.
    Fields(Vec<(usize, usize, usize)>),
}

fn element_of(swap: Option<SwapSpec>, item_size: usize) -> PyResult<Element> {
    let swap = match swap {
        None => Swap::None,
        Some(SwapSpec::Uniform(unit)) if unit > 0 && item_size.is_multiple_of(unit) => Swap::Uniform(unit),
        Some(SwapSpec::Fields(fields))
            if fields.iter().all(|(offset, unit, count)| offset + unit * count <= item_size) =>
        {
            Swap::Fields(fields)
        }
        Some(_) => return Err(PyValueError::new_err(format!("the swap does not fit elements of {item_size} bytes"))),
    };
    Ok(Element { size: item_size, swap })
}

/// A batch with the array that it fills.
pub struct Output {
    /// The batch.
    pub batch: Batch,
    /// The elements to be filled. The caller keeps the array alive until no unit runs any more.
    pub view: SharedView,
    /// Elements of variable length, which reach the array only at the end.
    pub pending: Option<PendingElements>,
}

impl Output {
    /// The batch `items` onto the array `out`.
    ///
    /// # Errors
    /// `ValueError` for a read-only array; `OverlappingOutputError` for one whose elements share bytes; what reading the batch raises.
    pub fn new(
        items: &Items<'_, '_>,
        out: &Bound<'_, PyAny>,
        format: &ChunkFormat,
        swap: Option<SwapSpec>,
    ) -> PyResult<Self> {
        let view = ArrayView::new(out)?;
        if !view.writeable {
            return Err(PyValueError::new_err("assignment destination is read-only"));
        }
        if view.may_overlap() {
            return Err(overlapping_output(out.py()));
        }
        let batch = items.read(&view.shape, Direction::Read)?;
        if let Some(fill) = &format.vlen {
            let (references, pending) = PendingElements::new(out, &view, fill.utf8)?;
            return Ok(Self { batch, view: references, pending: Some(pending) });
        }
        check_items(&view, format.item_size)?;
        let element = element_of(swap, format.item_size)?;
        // SAFETY: NumPy says that the elements are there, that they may be written (checked above) and that different ones
        // share no byte (`may_overlap`); the caller keeps them until the last unit has ended, and no unit runs later. Not
        // guaranteed: two chunks of a batch that zarr's indexers did not make may name one element, whose value is then
        // either of the two.
        let view = unsafe { SharedView::new(view.ptr, &view.shape, view.strides, element, true) };
        Ok(Self { batch, view, pending: None })
    }
}

/// A batch with the array that it is written from.
pub struct Input {
    /// The batch.
    pub batch: Batch,
    /// The elements to be written.
    pub view: SharedView,
    /// What the caller keeps alive, beside the array, until no unit runs any more.
    pub owners: Vec<Py<PyAny>>,
}

impl Input {
    /// The batch `items` from the array `value`.
    ///
    /// # Errors
    /// What reading the batch raises; `TypeError` for elements of another size.
    pub fn new(
        items: &Items<'_, '_>,
        value: &Bound<'_, PyAny>,
        format: &ChunkFormat,
        swap: Option<SwapSpec>,
    ) -> PyResult<Self> {
        let view = ArrayView::new(value)?;
        let batch = items.read(&view.shape, Direction::Write)?;
        let mut owners = Vec::new();
        if let Some(fill) = &format.vlen {
            let view = vlen::references(value, &view, fill.utf8, &mut owners)?;
            return Ok(Self { batch, view, owners });
        }
        check_items(&view, format.item_size)?;
        let element = element_of(swap, format.item_size)?;
        // SAFETY: NumPy says that the elements are there, and the caller keeps them until the last unit has ended; no unit
        // runs later. Not guaranteed: if the value is changed while it is written, any mixture may be stored.
        let view = unsafe { SharedView::new(view.ptr, &view.shape, view.strides, element, false) };
        Ok(Self { batch, view, owners })
    }
}

fn check_items(view: &ArrayView, item_size: usize) -> PyResult<()> {
    if view.item_size == item_size {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "the array has elements of {} bytes, the chunks of {item_size} bytes",
        view.item_size
    )))
}
