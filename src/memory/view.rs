//! Strided arrays as the engine sees them: an address, the bytes that may be touched around it, strides, an element.
//! Every copy is checked once, before it starts: no walk leaves the array or the chunk. Leaves out what a selection
//! means.
#![allow(unsafe_code)] // Past the check, elements are moved by address.

use std::marker::PhantomData;

use super::copy::{self, CopyAxis, Walk};
use super::element::{Element, Swap};
use super::out_bytes::OutBytes;

/// An array of elements. It stays in one thread (see [`super::SharedView`]), so any number of hands may write it.
#[derive(Debug)]
pub struct View<'a> {
    /// Address of index zero in every dimension.
    ptr: *mut u8,
    /// First byte that may be touched, from `ptr`.
    first: isize,
    /// End of the bytes that may be touched, from `ptr`.
    end: isize,
    strides: Vec<isize>,
    element: Element,
    writable: bool,
    bytes: PhantomData<&'a mut [u8]>,
}

impl<'a> View<'a> {
    /// The packed elements in `bytes`, to be read and written.
    pub fn over(bytes: &'a mut [u8], strides: Vec<isize>, element: Element) -> Self {
        Self::new(bytes.as_mut_ptr(), (0, bytes.len() as isize), strides, element, true)
    }

    /// The packed elements in `bytes`, to be read.
    pub fn of(bytes: &'a [u8], strides: Vec<isize>, element: Element) -> Self {
        Self::new(bytes.as_ptr().cast_mut(), (0, bytes.len() as isize), strides, element, false)
    }

    pub(super) fn new(
        ptr: *mut u8,
        (first, end): (isize, isize),
        strides: Vec<isize>,
        element: Element,
        writable: bool,
    ) -> Self {
        let fits = match &element.swap {
            Swap::None => true,
            Swap::Uniform(unit) => *unit > 0 && element.size.is_multiple_of(*unit),
            Swap::Fields(fields) => fields.iter().all(|&(offset, unit, count)| {
                unit.checked_mul(count).and_then(|len| len.checked_add(offset)).is_some_and(|end| end <= element.size)
            }),
        };
        assert!(fits, "{:?} does not fit elements of {} bytes", element.swap, element.size);
        Self { ptr, first, end, strides, element, writable, bytes: PhantomData }
    }

    /// Bytes to the next index of each dimension.
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// How its elements differ from stored ones.
    pub fn element(&self) -> &Element {
        &self.element
    }

    /// Copies elements of `chunk`, from byte `from` on, to byte `to` of the view on: along `axes`, swapped as the
    /// view's element says.
    pub fn scatter(&self, chunk: &[u8], from: isize, to: isize, axes: &[CopyAxis<'_>]) {
        self.assert_writable();
        if self.is_nothing(axes) {
            return;
        }
        let size = self.element.size;
        assert_within(from, axes.iter().map(|axis| (axis.len, axis.from)), size, (0, chunk.len() as isize));
        assert_within(to, axes.iter().map(|axis| (axis.len, axis.to)), size, (self.first, self.end));
        let (from, to) = (chunk.as_ptr().wrapping_offset(from), self.ptr.wrapping_offset(to));
        // SAFETY: all elements lie in the chunk, which is borrowed, and in the view, as was just checked; the view can
        // be
        // written, and nothing that is borrowed overlaps it. Where targets repeat, only the order of writes is open.
        unsafe { copy::copy(from, to, axes, &self.element) };
    }

    /// Copies elements of the view, from byte `from` on, to byte `to` of `chunk` on, as [`View::scatter`].
    pub fn gather(&self, chunk: &mut [u8], from: isize, to: isize, axes: &[CopyAxis<'_>]) {
        if self.is_nothing(axes) {
            return;
        }
        let size = self.element.size;
        assert_within(from, axes.iter().map(|axis| (axis.len, axis.from)), size, (self.first, self.end));
        assert_within(to, axes.iter().map(|axis| (axis.len, axis.to)), size, (0, chunk.len() as isize));
        let (from, to) = (self.ptr.wrapping_offset(from), chunk.as_mut_ptr().wrapping_offset(to));
        // SAFETY: all elements lie in the view and in the chunk, as was just checked; the chunk is borrowed
        // exclusively.
        unsafe { copy::copy(from, to, axes, &self.element) };
    }

    /// Writes `pattern`, one element in the view's byte order, to all that the `to` side of `axes` walks from byte
    /// `to`.
    pub fn fill(&self, to: isize, axes: &[CopyAxis<'_>], pattern: &[u8]) {
        self.assert_writable();
        if self.is_nothing(axes) {
            return;
        }
        assert_within(to, axes.iter().map(|axis| (axis.len, axis.to)), pattern.len(), (self.first, self.end));
        // SAFETY: all targets lie in the view, which can be written, as was just checked.
        unsafe { copy::fill(self.ptr.wrapping_offset(to), axes, pattern) };
    }

    /// The `len` bytes from byte `offset` on, to be filled without a detour.
    pub fn run(&self, offset: isize, len: usize) -> OutBytes<'_> {
        self.assert_writable();
        if len == 0 {
            return OutBytes::from(<&mut [u8]>::default());
        }
        assert_within(offset, std::iter::empty(), len, (self.first, self.end));
        // SAFETY: the bytes lie in the view, as was just checked, and can be written; neither a view nor a place leaves
        // its thread, and neither gives a reference to these bytes.
        unsafe { OutBytes::new(self.ptr.wrapping_offset(offset), len) }
    }

    /// Whether `axes` walk no element, or elements of no bytes: the kernels then touch nothing.
    fn is_nothing(&self, axes: &[CopyAxis<'_>]) -> bool {
        self.element.size == 0 || axes.iter().any(|axis| axis.len == 0)
    }

    fn assert_writable(&self) {
        assert!(self.writable, "a view of elements that may only be read cannot be written");
    }
}

/// Panics unless all elements of `size` bytes that `walks` reach from byte `at` on lie in bytes `first..end`. A
/// selection
/// was checked before any byte moves, so this is the engine's own mistake; the pool makes an error of it.
fn assert_within<'w>(
    at: isize,
    walks: impl Iterator<Item = (usize, Walk<'w>)>,
    size: usize,
    (first, end): (isize, isize),
) {
    let reach = reach(at, walks, size);
    assert!(
        reach.is_some_and(|(low, high)| first <= low && high <= end),
        "a copy of elements of {size} bytes from byte {at} on reaches {reach:?}, outside of bytes {first} to {end}"
    );
}

/// First byte that the walks reach, and the end of the last; `None` if a list is too short or a number too large.
pub(super) fn reach<'w>(
    at: isize,
    walks: impl Iterator<Item = (usize, Walk<'w>)>,
    size: usize,
) -> Option<(isize, isize)> {
    let (mut low, mut high) = (at, at.checked_add_unsigned(size)?);
    for (len, walk) in walks {
        let (least, most) = walk.bounds(len)?;
        low = low.checked_add(least)?;
        high = high.checked_add(most)?;
    }
    Some((low, high))
}
