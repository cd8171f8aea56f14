//! Data types of the array-to-array codecs: the type of an element, its byte order, and NumPy's arithmetic. No
//! conversions between types (`convert`), no codecs.

use half::f16;

/// The type of an element, regardless of byte order. Dates and times are 64-bit integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names are NumPy's.
pub enum Number {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    F32,
    F64,
    C64,
    C128,
}

impl Number {
    /// Bytes of one element.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 | Self::C64 => 8,
            Self::C128 => 16,
        }
    }

    /// Bytes that a change of byte order reverses together.
    pub(crate) fn unit(self) -> usize {
        match self {
            Self::C64 => 4,
            Self::C128 => 8,
            other => other.size(),
        }
    }
}

/// The data type on one side of a codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// The type of an element.
    pub number: Number,
    /// Whether its byte order differs from this machine's.
    pub swapped: bool,
}

impl Side {
    /// The data type that NumPy writes as `name`: `<i4`, `>f8`, `|u1`.
    pub fn parse(name: &str) -> Option<Self> {
        let (order, kind) = (name.get(..1)?, name.get(1..)?);
        let number = match kind {
            "b1" => Number::Bool,
            "i1" => Number::I8,
            "i2" => Number::I16,
            "i4" => Number::I32,
            "i8" => Number::I64,
            "u1" => Number::U8,
            "u2" => Number::U16,
            "u4" => Number::U32,
            "u8" => Number::U64,
            "f2" => Number::F16,
            "f4" => Number::F32,
            "f8" => Number::F64,
            "c8" => Number::C64,
            "c16" => Number::C128,
            _ => return None,
        };
        let foreign = if cfg!(target_endian = "little") { ">" } else { "<" };
        Some(Self { number, swapped: order == foreign && number.unit() > 1 })
    }
}

/// An element in this machine's byte order, with NumPy's arithmetic: integers wrap.
pub(crate) trait Numeric: Copy + Default + PartialEq + Send + Sync + 'static {
    /// Bytes of one element.
    const SIZE: usize;

    /// The element in `bytes`, which hold exactly one.
    fn load(bytes: &[u8]) -> Self;
    /// Writes the element to `bytes`, which hold exactly one.
    fn store(self, bytes: &mut [u8]);
    /// Sum.
    fn plus(self, other: Self) -> Self;
    /// Difference.
    fn minus(self, other: Self) -> Self;
    /// Product.
    fn times(self, other: Self) -> Self;
}

macro_rules! load_and_store {
    ($type:ty) => {
        const SIZE: usize = size_of::<$type>();

        #[inline]
        fn load(bytes: &[u8]) -> Self {
            Self::from_ne_bytes(bytes.try_into().expect("invariant: blocks hold whole elements"))
        }
        #[inline]
        fn store(self, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.to_ne_bytes());
        }
    };
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Numeric for $type {
            load_and_store!($type);

            #[inline]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline]
            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
        }
    )*};
}

integers!(i8, i16, i32, i64, u8, u16, u32, u64);

macro_rules! floats {
    ($($type:ty),*) => {$(
        impl Numeric for $type {
            load_and_store!($type);

            #[inline]
            fn plus(self, other: Self) -> Self {
                self + other
            }
            #[inline]
            fn minus(self, other: Self) -> Self {
                self - other
            }
            #[inline]
            fn times(self, other: Self) -> Self {
                self * other
            }
        }
    )*};
}

floats!(f32, f64);

/// NumPy computes in single precision and rounds each result.
impl Numeric for f16 {
    load_and_store!(f16);

    #[inline]
    fn plus(self, other: Self) -> Self {
        super::convert::half(super::convert::single(self) + super::convert::single(other))
    }
    #[inline]
    fn minus(self, other: Self) -> Self {
        super::convert::half(super::convert::single(self) - super::convert::single(other))
    }
    #[inline]
    fn times(self, other: Self) -> Self {
        super::convert::half(super::convert::single(self) * super::convert::single(other))
    }
}

/// A truth value: every byte but 0 is true.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Truth(pub u8);

/// Real and imaginary part.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Complex<T>(pub T, pub T);

impl Numeric for Truth {
    const SIZE: usize = 1;

    #[inline]
    fn load(bytes: &[u8]) -> Self {
        Self(bytes[0])
    }
    #[inline]
    fn store(self, bytes: &mut [u8]) {
        bytes[0] = self.0;
    }
    #[inline]
    fn plus(self, other: Self) -> Self {
        Self(u8::from(self.0 != 0 || other.0 != 0))
    }
    #[inline]
    fn minus(self, other: Self) -> Self {
        Self(u8::from((self.0 != 0) != (other.0 != 0)))
    }
    #[inline]
    fn times(self, other: Self) -> Self {
        Self(u8::from(self.0 != 0 && other.0 != 0))
    }
}

impl<T: Numeric> Numeric for Complex<T> {
    const SIZE: usize = 2 * T::SIZE;

    #[inline]
    fn load(bytes: &[u8]) -> Self {
        let (real, imaginary) = bytes.split_at(T::SIZE);
        Self(T::load(real), T::load(imaginary))
    }
    #[inline]
    fn store(self, bytes: &mut [u8]) {
        let (real, imaginary) = bytes.split_at_mut(T::SIZE);
        self.0.store(real);
        self.1.store(imaginary);
    }
    #[inline]
    fn plus(self, other: Self) -> Self {
        Self(self.0.plus(other.0), self.1.plus(other.1))
    }
    #[inline]
    fn minus(self, other: Self) -> Self {
        Self(self.0.minus(other.0), self.1.minus(other.1))
    }
    #[inline]
    fn times(self, other: Self) -> Self {
        let (a, b) = (self, other);
        Self(a.0.times(b.0).minus(a.1.times(b.1)), a.0.times(b.1).plus(a.1.times(b.0)))
    }
}

/// `$body` with `$type` as the element type of `$number`, for the kinds named.
macro_rules! with_number {
    ($number:expr, $type:ident => $body:expr; reals) => {
        match $number {
            $crate::codec::array_to_array::Number::I8 => { type $type = i8; Some($body) }
            $crate::codec::array_to_array::Number::I16 => { type $type = i16; Some($body) }
            $crate::codec::array_to_array::Number::I32 => { type $type = i32; Some($body) }
            $crate::codec::array_to_array::Number::I64 => { type $type = i64; Some($body) }
            $crate::codec::array_to_array::Number::U8 => { type $type = u8; Some($body) }
            $crate::codec::array_to_array::Number::U16 => { type $type = u16; Some($body) }
            $crate::codec::array_to_array::Number::U32 => { type $type = u32; Some($body) }
            $crate::codec::array_to_array::Number::U64 => { type $type = u64; Some($body) }
            other => $crate::codec::array_to_array::with_number!(other, $type => $body; floats),
        }
    };
    ($number:expr, $type:ident => $body:expr; floats) => {
        match $number {
            $crate::codec::array_to_array::Number::F16 => { type $type = half::f16; Some($body) }
            $crate::codec::array_to_array::Number::F32 => { type $type = f32; Some($body) }
            $crate::codec::array_to_array::Number::F64 => { type $type = f64; Some($body) }
            _ => None,
        }
    };
}

pub(crate) use with_number;
