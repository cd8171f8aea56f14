//! Views that several threads use at once.
#![allow(unsafe_code)] // A view of memory with another owner is made by address.

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

use super::copy::Walk;
use super::element::Element;
use super::view::{View, reach};

/// A view of memory that has another owner, for the threads that work on one batch.
#[derive(Debug)]
pub struct SharedView {
    view: View<'static>,
    /// What owns the memory, if that is the engine's.
    _owner: Option<Arc<dyn Any + Send + Sync>>,
}

// SAFETY: by the contract of `new` the memory is there for every thread, and different threads touch different
// elements.
unsafe impl Send for SharedView {}
// SAFETY: as above.
unsafe impl Sync for SharedView {}

impl SharedView {
    /// The array at `ptr`, the address of index zero in every dimension.
    ///
    /// # Safety
    /// As long as the view is used, every byte from the array's first element to its last is there; each can be read,
    /// and written if it is `writable`; no Rust reference to it exists. Threads that use the view at the same time read and
    /// write different elements.
    pub unsafe fn new(ptr: *mut u8, shape: &[usize], strides: Vec<isize>, element: Element, writable: bool) -> Self {
        assert!(shape.len() == strides.len(), "{} dimensions have {} strides", shape.len(), strides.len());
        let extent = if shape.contains(&0) { Some((0, 0)) } else { extent(shape, &strides, element.size) };
        let extent = extent.unwrap_or_else(|| {
            panic!("shape {shape:?} with strides {strides:?} of {}-byte elements does not fit memory", element.size)
        });
        Self { view: View::new(ptr, extent, strides, element, writable), _owner: None }
    }

    /// The `len` bytes at `ptr`, which `owner` keeps, as an array with these strides.
    ///
    /// # Safety
    /// As for [`SharedView::new`], for as long as `owner` lives; the strides are checked with each copy.
    pub(super) unsafe fn owned(
        ptr: *mut u8,
        len: usize,
        strides: Vec<isize>,
        element: Element,
        writable: bool,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        Self { view: View::new(ptr, (0, len as isize), strides, element, writable), _owner: Some(owner) }
    }
}

/// The bytes that an array spans, from its index zero.
fn extent(shape: &[usize], strides: &[isize], size: usize) -> Option<(isize, isize)> {
    reach(0, shape.iter().copied().zip(strides.iter().map(|stride| Walk::Stride(*stride))), size)
}

impl Deref for SharedView {
    type Target = View<'static>;

    fn deref(&self) -> &View<'static> {
        &self.view
    }
}
