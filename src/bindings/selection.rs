//! Python's selections to canonical form, with NumPy's meaning: slices are clamped, integers wrap, index arrays broadcast.
//!
//! Source: NumPy's indexing guide ("Combining advanced and basic indexing") and zarr-python's indexers.

#![allow(unsafe_code, reason = "reads slices through the C API: PyO3's way costs a Python call for each bound")]

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyList, PySlice, PyTuple};

use crate::bindings::errors::{to_python, unsupported};
use crate::bindings::numpy::ArrayView;
use crate::selection::{Axis, Coord, Lists, Span, checked_index};

/// One side of a projection: the axes of its result, and the dimensions that an integer fixes.
#[derive(Debug, Default)]
pub struct Side {
    axes: Vec<(usize, Coord)>,
    fixed: Vec<Coord>,
}

/// An index array after broadcasting was prepared: integers count as arrays without axes.
struct IndexArray {
    dim: usize,
    shape: Vec<usize>,
    at: Span,
}

enum Entry {
    Basic(usize, Coord),
    Advanced,
}

impl Side {
    fn clear(&mut self) {
        self.axes.clear();
        self.fixed.clear();
    }

    /// Reads `selection` for an array of `shape`.
    ///
    /// # Errors
    /// `IndexError` as NumPy raises it; `UnsupportedError` for what zarr never makes.
    pub fn read(&mut self, selection: &Bound<'_, PyAny>, shape: &[usize], lists: &mut Lists) -> PyResult<()> {
        self.clear();
        let py = selection.py();
        let single;
        let entries = if let Ok(tuple) = selection.cast::<PyTuple>() {
            tuple
        } else {
            single = PyTuple::new(py, [selection])?;
            &single
        };
        let mut dim = 0;
        for entry in entries.iter_borrowed() {
            if entry.is_instance_of::<PySlice>() {
                let size = *shape.get(dim).ok_or_else(|| too_many(shape.len(), entries.len()))?;
                let (len, coord) = slice(&entry, dim, size, lists)?;
                self.axes.push((len, coord));
            } else if is_plain_integer(&entry) {
                let size = *shape.get(dim).ok_or_else(|| too_many(shape.len(), entries.len()))?;
                self.fixed.push(fixed(&entry, dim, size)?);
            } else {
                return self.read_advanced(entries, shape, lists);
            }
            dim += 1;
        }
        for (dim, len) in shape.iter().enumerate().skip(dim) {
            self.axes.push((*len, Coord::Range { dim, start: 0, step: 1 }));
        }
        Ok(())
    }

    /// The general form, with index arrays in it.
    fn read_advanced(&mut self, entries: &Bound<'_, PyTuple>, shape: &[usize], lists: &mut Lists) -> PyResult<()> {
        self.clear();
        let mut order = Vec::with_capacity(entries.len());
        let mut arrays: Vec<IndexArray> = Vec::new();
        let mut dim = 0;
        for entry in entries.iter_borrowed() {
            let size = *shape.get(dim).ok_or_else(|| too_many(shape.len(), entries.len()))?;
            if entry.is_instance_of::<PySlice>() {
                let (len, coord) = slice(&entry, dim, size, lists)?;
                order.push(Entry::Basic(len, coord));
                dim += 1;
            } else if is_plain_integer(&entry) {
                let Coord::Range { start, .. } = fixed(&entry, dim, size)? else { unreachable!("an index is a range") };
                arrays.push(IndexArray { dim, shape: Vec::new(), at: lists.push([start]) });
                order.push(Entry::Advanced);
                dim += 1;
            } else {
                dim += index_array(&entry, dim, shape, lists, &mut arrays)?;
                order.push(Entry::Advanced);
            }
        }
        let broadcast = broadcast_axes(entries.py(), &arrays, lists, &mut self.fixed)?;
        let advanced: Vec<usize> =
            order.iter().enumerate().filter(|(_, e)| matches!(e, Entry::Advanced)).map(|(i, _)| i).collect();
        let (first, last) = (advanced[0], advanced[advanced.len() - 1]);
        // Index arrays that are separated by a slice put their axes first.
        let together = last - first + 1 == advanced.len();
        if !together {
            self.axes.extend_from_slice(&broadcast);
        }
        for (i, entry) in order.iter().enumerate() {
            match entry {
                Entry::Basic(len, coord) => self.axes.push((*len, *coord)),
                Entry::Advanced if together && i == first => self.axes.extend_from_slice(&broadcast),
                Entry::Advanced => {}
            }
        }
        for (dim, len) in shape.iter().enumerate().skip(dim) {
            self.axes.push((*len, Coord::Range { dim, start: 0, step: 1 }));
        }
        Ok(())
    }

    /// Removes the axes `drop`, as `NDBuffer.squeeze` does on a read.
    pub fn squeeze(&mut self, drop: &[usize]) -> PyResult<()> {
        for (removed, axis) in drop.iter().enumerate() {
            let Some((len, coord)) = axis.checked_sub(removed).and_then(|at| self.axes.get(at).copied()) else {
                continue;
            };
            if len != 1 {
                return Err(PyValueError::new_err(format!("cannot drop axis {axis} of length {len}")));
            }
            self.axes.remove(axis - removed);
            if coord != Coord::Fixed {
                self.fixed.push(coord);
            }
        }
        Ok(())
    }

    /// Adds axes of length one at `drop`, as zarr does with a written value for a chunk of `rank` dimensions.
    pub fn expand(&mut self, drop: &[usize], rank: usize) -> PyResult<()> {
        let named = rank - drop.len().min(rank);
        if self.axes.len() < named {
            return Err(too_many(self.axes.len(), named));
        }
        for axis in drop {
            self.axes.insert((*axis).min(self.axes.len()), (1, Coord::Fixed));
        }
        Ok(())
    }

    /// Makes this side a scalar: every element of the other side meets the one element of this.
    pub fn scalar(&mut self) {
        self.clear();
    }

    fn lengths(&self) -> Vec<usize> {
        self.axes.iter().map(|(len, _)| *len).collect()
    }
}

/// Which side of a projection gives, and which is assigned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The chunk is assigned to the array.
    Read,
    /// The array is assigned to the chunk.
    Write,
}

/// Pairs the two sides as NumPy's assignment does: the giving side broadcasts onto the other.
///
/// # Errors
/// `ValueError` in NumPy's words when it does not.
pub fn pair(chunk: &Side, array: &Side, direction: Direction, axes: &mut Vec<Axis>) -> PyResult<()> {
    let (from, to) = match direction {
        Direction::Read => (chunk, array),
        Direction::Write => (array, chunk),
    };
    let make = |len, from, to| match direction {
        Direction::Read => Axis { len, chunk: from, array: to },
        Direction::Write => Axis { len, chunk: to, array: from },
    };
    let start = axes.len();
    for coord in &from.fixed {
        axes.push(make(1, *coord, Coord::Fixed));
    }
    for coord in &to.fixed {
        axes.push(make(1, Coord::Fixed, *coord));
    }
    let surplus = from.axes.len().saturating_sub(to.axes.len());
    for (len, coord) in &from.axes[..surplus] {
        if *len != 1 {
            return Err(no_broadcast(from, to));
        }
        axes.push(make(1, *coord, Coord::Fixed));
    }
    let given = &from.axes[surplus..];
    let lead = to.axes.len() - given.len();
    for (i, (len, coord)) in to.axes.iter().enumerate() {
        match i.checked_sub(lead).map(|i| given[i]) {
            None => axes.push(make(*len, Coord::Fixed, *coord)),
            Some((given_len, given)) if given_len == *len => axes.push(make(*len, given, *coord)),
            Some((1, given)) => {
                axes.push(make(1, given, Coord::Fixed));
                axes.push(make(*len, Coord::Fixed, *coord));
            }
            Some(_) => return Err(no_broadcast(from, to)),
        }
    }
    in_chunk_order(&mut axes[start..]);
    Ok(())
}

/// Puts axes in the order of the chunk's dimensions where every one is a range, so that whole chunks are seen as such.
fn in_chunk_order(axes: &mut [Axis]) {
    let dim = |axis: &Axis| match axis.chunk {
        Coord::Range { dim, .. } if matches!(axis.array, Coord::Range { .. } | Coord::Fixed) => Some(dim),
        Coord::Fixed if axis.len == 1 => Some(usize::MAX),
        _ => None,
    };
    if axes.iter().all(|axis| dim(axis).is_some()) && !axes.is_sorted_by_key(dim) {
        axes.sort_by_key(dim);
    }
}

fn no_broadcast(from: &Side, to: &Side) -> PyErr {
    let words = |side: &Side| {
        let lengths: Vec<String> = side.lengths().iter().map(ToString::to_string).collect();
        if lengths.len() == 1 { format!("({},)", lengths[0]) } else { format!("({})", lengths.join(",")) }
    };
    PyValueError::new_err(format!(
        "could not broadcast input array from shape {} into shape {}",
        words(from),
        words(to)
    ))
}

fn too_many(rank: usize, entries: usize) -> PyErr {
    PyIndexError::new_err(format!(
        "too many indices for array: array is {rank}-dimensional, but {entries} were indexed"
    ))
}

/// Whether NumPy takes it as one index: an integer or what has `__index__`, but no boolean, sequence or array.
fn is_plain_integer(entry: &Bound<'_, PyAny>) -> bool {
    if entry.is_exact_instance_of::<PyInt>() {
        return true;
    }
    // NumPy integers; arrays have __index__ too, and a shape that tells them isolated.
    !entry.is_instance_of::<PyBool>()
        && !entry.is_instance_of::<PyList>()
        // SAFETY: a borrowed, valid object.
        && unsafe { ffi::PyIndex_Check(entry.as_ptr()) } != 0
        && entry.getattr(pyo3::intern!(entry.py(), "shape")).is_ok_and(|shape| shape.len().is_ok_and(|rank| rank == 0))
        && entry.getattr(pyo3::intern!(entry.py(), "item")).is_ok()
}

fn fixed(entry: &Bound<'_, PyAny>, dim: usize, size: usize) -> PyResult<Coord> {
    // SAFETY: a borrowed, valid object; errors are fetched below.
    let index = unsafe { ffi::PyNumber_AsSsize_t(entry.as_ptr(), ffi::PyExc_IndexError) };
    if index == -1
        && let Some(error) = PyErr::take(entry.py())
    {
        return Err(error);
    }
    let start = checked_index(index as i64, size, dim).map_err(|error| to_python(entry.py(), error))?;
    Ok(Coord::Range { dim, start, step: 1 })
}

fn slice(entry: &Bound<'_, PyAny>, dim: usize, size: usize, lists: &mut Lists) -> PyResult<(usize, Coord)> {
    let (mut first, mut end, mut step) = (0, 0, 0);
    // SAFETY: the entry is a slice (checked by the caller); the three numbers are ours.
    let len = unsafe {
        if ffi::PySlice_Unpack(entry.as_ptr(), &raw mut first, &raw mut end, &raw mut step) < 0 {
            return Err(PyErr::fetch(entry.py()));
        }
        ffi::PySlice_AdjustIndices(size as isize, &raw mut first, &raw mut end, step)
    } as usize;
    if step > 0 {
        return Ok((len, Coord::Range { dim, start: first as usize, step: step as usize }));
    }
    let at = lists.push((0..len as isize).map(|i| (first + i * step) as usize));
    Ok((len, Coord::List { dim, at }))
}

/// Reads an index array (a boolean one becomes the lists of its true places); the number of dimensions it uses.
fn index_array(
    entry: &Bound<'_, PyAny>,
    dim: usize,
    shape: &[usize],
    lists: &mut Lists,
    arrays: &mut Vec<IndexArray>,
) -> PyResult<usize> {
    let py = entry.py();
    let converted;
    let entry = if entry.is_instance_of::<PyList>() {
        converted = py.import("numpy")?.call_method1("asarray", (entry,))?;
        &converted
    } else {
        entry
    };
    let refuse = || unsupported(py, "selection", "an entry is neither a slice, an integer nor an index array");
    let view = ArrayView::new(entry).map_err(|_| refuse())?;
    let numbers = view.integers().ok_or_else(refuse)?;
    if view.kind != b'b' {
        let at = numbers
            .iter()
            .map(|i| checked_index(*i, shape[dim], dim))
            .collect::<crate::error::Result<Vec<_>>>()
            .map_err(|error| to_python(py, error))?;
        arrays.push(IndexArray { dim, shape: view.shape, at: lists.push(at) });
        return Ok(1);
    }
    let rank = view.shape.len();
    if rank == 0 || shape.get(dim..dim + rank) != Some(view.shape.as_slice()) {
        return Err(PyIndexError::new_err(format!(
            "boolean index did not match indexed array along axis {dim}; size of axis is {} but the mask has shape {:?}",
            shape[dim], view.shape
        )));
    }
    let places: Vec<usize> = numbers.iter().enumerate().filter(|(_, set)| **set != 0).map(|(i, _)| i).collect();
    let mut inner = 1;
    for axis in (0..rank).rev() {
        let size = view.shape[axis];
        let at = lists.push(places.iter().map(|place| place / inner % size));
        arrays.push(IndexArray { dim: dim + axis, shape: vec![places.len()], at });
        inner *= size;
    }
    Ok(rank)
}

/// The axes that broadcasting the index arrays gives. Each array moves along one of them at most.
fn broadcast_axes(
    py: Python<'_>,
    arrays: &[IndexArray],
    lists: &mut Lists,
    fixed: &mut Vec<Coord>,
) -> PyResult<Vec<(usize, Coord)>> {
    let rank = arrays.iter().map(|array| array.shape.len()).max().unwrap_or(0);
    let mut lengths = vec![1; rank];
    let mut kernels: Vec<Vec<(usize, Span)>> = vec![Vec::new(); rank];
    for array in arrays {
        let lead = rank - array.shape.len();
        let mut moving = array.shape.iter().enumerate().filter(|(_, len)| **len != 1);
        let Some((axis, len)) = moving.next() else {
            fixed.push(Coord::Range { dim: array.dim, start: lists.at[array.at.start], step: 1 });
            continue;
        };
        if moving.next().is_some() {
            return Err(unsupported(py, "selection", "an index array moves along more than one axis"));
        }
        let axis = axis + lead;
        if !kernels[axis].is_empty() && lengths[axis] != *len {
            return Err(PyIndexError::new_err(format!(
                "shape mismatch: indexing arrays could not be broadcast together with lengths {} and {len}",
                lengths[axis]
            )));
        }
        lengths[axis] = *len;
        kernels[axis].push((array.dim, array.at));
    }
    Ok(lengths
        .into_iter()
        .zip(&kernels)
        .map(|(len, kernels)| {
            let coord = match kernels.as_slice() {
                [] => Coord::Fixed,
                [(dim, at)] => Coord::List { dim: *dim, at: *at },
                many => lists.push_points(many),
            };
            (len, coord)
        })
        .collect())
}
