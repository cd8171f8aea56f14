//! The parameters of a codec, by name and without a language: what Python's descriptions and the fuzz targets are turned
//! into. No codecs.

use crate::error::{Error, Result};

/// The value of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value, where a parameter may lack one.
    None,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A word or a name.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values in order.
    List(Vec<Self>),
    /// Values by name.
    Named(Vec<(String, Self)>),
}

/// A codec's parameters, each taken once by the codec's constructor.
#[derive(Debug)]
pub struct Parameters {
    codec: String,
    values: Vec<(String, Value)>,
}

impl Parameters {
    /// The parameters of the codec called `codec`, which error messages mention.
    pub fn new(codec: &str, values: Vec<(String, Value)>) -> Self {
        Self { codec: codec.to_owned(), values }
    }

    /// Takes the parameter called `name`.
    ///
    /// # Errors
    /// `Value` if it is missing or of another type.
    pub fn take<T: FromValue>(&mut self, name: &str) -> Result<T> {
        let position = self.values.iter().position(|(known, _)| known == name);
        let Some(position) = position else {
            return Err(Error::value(format!("codec {}: the parameter {name:?} is missing", self.codec)));
        };
        let (_, value) = self.values.remove(position);
        T::from_value(value)
            .map_err(|error| Error::value(format!("codec {}: the parameter {name:?}: {error}", self.codec)))
    }

    /// Takes the parameters that are left, in their order.
    pub fn rest(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.values)
    }

    /// Checks that every parameter was taken.
    ///
    /// # Errors
    /// `Value` naming one that was not: the codec has no such parameter.
    pub fn finish(self) -> Result<()> {
        match self.values.first() {
            None => Ok(()),
            Some((name, _)) => Err(Error::value(format!("codec {} has no parameter {name:?}", self.codec))),
        }
    }
}

/// A type that a parameter can have.
pub trait FromValue: Sized {
    /// `value` as this type.
    ///
    /// # Errors
    /// `Value` if it is of another type or out of range.
    fn from_value(value: Value) -> Result<Self>;
}

/// The error for a value of another type.
pub fn mismatch(expected: &str, value: &Value) -> Error {
    Error::value(format!("expected {expected}, not {value:?}"))
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl FromValue for $type {
            fn from_value(value: Value) -> Result<Self> {
                let number = match value {
                    Value::Integer(number) => number,
                    // As in Python.
                    Value::Bool(truth) => i64::from(truth),
                    other => return Err(mismatch("a whole number", &other)),
                };
                Self::try_from(number).map_err(|_| Error::value(format!("{number} is out of range")))
            }
        }
    )*};
}

integers!(i32, u32, u64, usize);

macro_rules! as_they_are {
    ($($type:ty, $variant:ident, $expected:literal;)*) => {$(
        impl FromValue for $type {
            fn from_value(value: Value) -> Result<Self> {
                match value {
                    Value::$variant(value) => Ok(value),
                    other => Err(mismatch($expected, &other)),
                }
            }
        }
    )*};
}

as_they_are! {
    bool, Bool, "a truth value";
    String, Text, "text";
    Vec<u8>, Bytes, "bytes";
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Result<Self> {
        if value == Value::None { Ok(None) } else { T::from_value(value).map(Some) }
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: Value) -> Result<Self> {
        match value {
            Value::List(values) => values.into_iter().map(T::from_value).collect(),
            other => Err(mismatch("a list", &other)),
        }
    }
}

impl<A: FromValue, B: FromValue> FromValue for (A, B) {
    fn from_value(value: Value) -> Result<Self> {
        let Value::List(values) = value else { return Err(mismatch("a pair", &value)) };
        let [first, second] =
            values.try_into().map_err(|values: Vec<_>| Error::value(format!("a pair of {} values", values.len())))?;
        Ok((A::from_value(first)?, B::from_value(second)?))
    }
}

macro_rules! into_values {
    ($($type:ty, $value:ident => $made:expr;)*) => {$(
        impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $made
            }
        }
    )*};
}

into_values! {
    bool, value => Self::Bool(value);
    i32, value => Self::Integer(value.into());
    i64, value => Self::Integer(value);
    &str, value => Self::Text(value.to_owned());
    &[u8], value => Self::Bytes(value.to_vec());
    Vec<Self>, values => Self::List(values);
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

impl<const N: usize> From<[(&str, Self); N]> for Value {
    fn from(values: [(&str, Self); N]) -> Self {
        Self::Named(values.map(|(name, value)| (name.to_owned(), value)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Parameters {
        let values = [("level", Value::from(3)), ("filters", Value::None)];
        Parameters::new("some", values.map(|(name, value)| (name.to_owned(), value)).into())
    }

    fn message<T>(result: Result<T>) -> String {
        result.err().expect("refused").to_string()
    }

    #[test]
    fn parameters_are_taken_by_name_in_any_order() {
        let mut given = parameters();
        assert_eq!(given.take::<Option<Vec<u32>>>("filters").expect("there"), None);
        assert_eq!(given.take::<i32>("level").expect("there"), 3);
        given.finish().expect("nothing is left");
    }

    #[test]
    fn a_missing_parameter_is_named() {
        assert_eq!(message(parameters().take::<i32>("speed")), "codec some: the parameter \"speed\" is missing");
    }

    #[test]
    fn an_unknown_parameter_is_named() {
        let mut given = parameters();
        given.take::<i32>("level").expect("there");
        assert_eq!(message(given.finish()), "codec some has no parameter \"filters\"");
    }

    #[test]
    fn types_and_ranges_are_checked() {
        assert!(message(parameters().take::<bool>("level")).contains("a truth value"));
        assert!(message(u32::from_value(Value::from(-1))).contains("-1 is out of range"));
        assert!(message(<(u32, u32)>::from_value(vec![Value::from(1)].into())).contains("a pair of 1 values"));
    }
}
