//! NumPy arrays as addresses, through the array interface: the same for every NumPy release and for the stable ABI.

#![allow(unsafe_code, reason = "reads the C structure that __array_struct__ hands out")]

use std::ffi::{c_char, c_int, c_void};

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

/// NumPy's `PyArrayInterface` (documentation: "The array interface protocol", C-struct access).
#[repr(C)]
struct Interface {
    two: c_int,
    nd: c_int,
    typekind: c_char,
    itemsize: c_int,
    flags: c_int,
    shape: *const isize,
    strides: *const isize,
    data: *mut c_void,
}

const NOT_SWAPPED: c_int = 0x200;
const WRITEABLE: c_int = 0x400;

/// What the interface says of an array. Valid as long as the array lives.
#[derive(Debug, Clone)]
pub struct ArrayView {
    /// Address of index zero in every dimension.
    pub ptr: *mut u8,
    /// Array shape.
    pub shape: Vec<usize>,
    /// Bytes to the next index of each dimension.
    pub strides: Vec<isize>,
    /// NumPy's kind character.
    pub kind: u8,
    /// Bytes in one element.
    pub item_size: usize,
    /// Whether it may be written.
    pub writeable: bool,
    /// Whether it is in the machine's byte order.
    pub native: bool,
}

impl ArrayView {
    /// The view of `array`.
    ///
    /// # Errors
    /// `TypeError` for what is no NumPy array.
    pub fn new(array: &Bound<'_, PyAny>) -> PyResult<Self> {
        let capsule = array.getattr(intern!(array.py(), "__array_struct__"))?.cast_into::<PyCapsule>()?;
        let pointer = capsule.pointer_checked(None)?.cast::<Interface>();
        // SAFETY: the capsule holds a PyArrayInterface by protocol and lives until the end of this function; its first
        // field is checked before the rest is believed.
        let interface = unsafe { pointer.as_ref() };
        if interface.two != 2 {
            return Err(PyTypeError::new_err("__array_struct__ does not hold an array interface"));
        }
        let rank = usize::try_from(interface.nd).unwrap_or(0);
        let (shape, strides) = if rank == 0 {
            (Vec::new(), Vec::new())
        } else {
            // SAFETY: both fields point to `nd` numbers.
            unsafe {
                (
                    std::slice::from_raw_parts(interface.shape, rank).iter().map(|n| *n as usize).collect(),
                    std::slice::from_raw_parts(interface.strides, rank).to_vec(),
                )
            }
        };
        Ok(Self {
            ptr: interface.data.cast(),
            shape,
            strides,
            kind: interface.typekind as u8,
            item_size: usize::try_from(interface.itemsize).unwrap_or(0),
            // NumPy forgets the flags of structured arrays in this interface.
            writeable: if interface.typekind as u8 == b'V' {
                array.getattr(intern!(array.py(), "flags"))?.getattr(intern!(array.py(), "writeable"))?.is_truthy()?
            } else {
                interface.flags & WRITEABLE != 0
            },
            native: interface.flags & NOT_SWAPPED != 0,
        })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The elements as integers in C order, for arrays of integers and booleans; `None` for other kinds.
    pub fn integers(&self) -> Option<Vec<i64>> {
        if !self.native && self.item_size > 1 {
            return None;
        }
        let mut all = Vec::with_capacity(self.len());
        match (self.kind, self.item_size) {
            (b'i', 8) => self.each(&mut |p| all.push(read(p, i64::from_ne_bytes))),
            (b'i', 4) => self.each(&mut |p| all.push(i64::from(read(p, i32::from_ne_bytes)))),
            (b'i', 2) => self.each(&mut |p| all.push(i64::from(read(p, i16::from_ne_bytes)))),
            (b'i', 1) => self.each(&mut |p| all.push(i64::from(read(p, i8::from_ne_bytes)))),
            (b'u', 8) => self.each(&mut |p| all.push(i64::try_from(read(p, u64::from_ne_bytes)).unwrap_or(i64::MAX))),
            (b'u', 4) => self.each(&mut |p| all.push(i64::from(read(p, u32::from_ne_bytes)))),
            (b'u', 2) => self.each(&mut |p| all.push(i64::from(read(p, u16::from_ne_bytes)))),
            (b'u' | b'b', 1) => self.each(&mut |p| all.push(i64::from(read(p, u8::from_ne_bytes)))),
            _ => return None,
        }
        Some(all)
    }

    /// Visits the address of every element, in C order.
    pub fn each(&self, visit: &mut impl FnMut(*const u8)) {
        fn walk(ptr: *const u8, shape: &[usize], strides: &[isize], visit: &mut impl FnMut(*const u8)) {
            let ([len, shape @ ..], [stride, strides @ ..]) = (shape, strides) else { return visit(ptr) };
            for i in 0..*len {
                // SAFETY: `i` is below this dimension's length, so the element is inside the array.
                let element = unsafe { ptr.offset(i as isize * stride) };
                // A call for each element costs as much as many a visit.
                if shape.is_empty() { visit(element) } else { walk(element, shape, strides, visit) }
            }
        }
        walk(self.ptr, &self.shape, &self.strides, visit);
    }

    /// Whether different indices may share bytes: then the order of writes would show, which is NumPy's to decide.
    pub fn may_overlap(&self) -> bool {
        let mut dims: Vec<(usize, usize)> = self
            .shape
            .iter()
            .zip(&self.strides)
            .filter(|(len, _)| **len > 1)
            .map(|(len, stride)| (stride.unsigned_abs(), *len))
            .collect();
        dims.sort_unstable();
        let mut extent = self.item_size;
        for (stride, len) in dims {
            if stride < extent {
                return true;
            }
            extent += stride * (len - 1);
        }
        false
    }
}

fn read<const N: usize, T>(ptr: *const u8, convert: impl Fn([u8; N]) -> T) -> T {
    // SAFETY: `ArrayView::each` visits addresses of elements of N bytes (the caller matched the size); any alignment.
    convert(unsafe { ptr.cast::<[u8; N]>().read_unaligned() })
}
