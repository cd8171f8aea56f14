//! How zarr compares an element with the fill value, for each kind of data type.

/// How zarr compares an element with the fill value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Equality {
    /// Equal bytes: integers, dates (not-a-time has one form), text, raw bytes.
    Bits,
    /// Both true or both false: any byte but 0 is true.
    Bool,
    /// Equal bytes, or both not a number: real floats of `unit` bytes (2, 4, 8). −0.0 differs from 0.0.
    FloatNan {
        /// Bytes per float.
        unit: usize,
    },
    /// Equal numbers, or both with a component that is not a number: complex of two floats of `unit` bytes. −0.0 equals
    /// 0.0.
    Complex {
        /// Bytes per component.
        unit: usize,
    },
    /// A structure: each field as numpy's `==`; bytes outside the fields are ignored.
    Fields(Vec<Field>),
    /// Nothing equals the fill value.
    Never,
}

/// A leaf of a structured type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its first byte within the element.
    pub offset: usize,
    /// Bytes of one leaf.
    pub size: usize,
    /// How many side by side: the elements of a sub-array.
    pub count: usize,
    /// What numpy's `==` does with it.
    pub leaf: Leaf,
}

/// What numpy's `==` does with a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// Equal bytes.
    Bits,
    /// Floats of `unit` bytes, two of them for complex: −0.0 equals 0.0, not-a-number equals nothing.
    Float {
        /// Bytes per float.
        unit: usize,
    },
    /// Dates and durations: not-a-time equals nothing.
    Time,
}
