//! A dense array of one number type, as npy, npz and IDX files hold it.

/// The numbers of an [`Array`], in C order (last axis fastest).
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // each variant is the type it names
pub enum Values {
    Bool(Vec<bool>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    I32(Vec<i32>),
    U32(Vec<u32>),
    I64(Vec<i64>),
    U64(Vec<u64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// Runs `$body` with `$v` bound to the vector, whatever its type.
macro_rules! each {
    ($values:expr, $v:ident => $body:expr) => {
        match $values {
            Values::Bool($v) => $body,
            Values::I8($v) => $body,
            Values::U8($v) => $body,
            Values::I16($v) => $body,
            Values::U16($v) => $body,
            Values::I32($v) => $body,
            Values::U32($v) => $body,
            Values::I64($v) => $body,
            Values::U64($v) => $body,
            Values::F32($v) => $body,
            Values::F64($v) => $body,
        }
    };
}
pub(super) use each;

impl Values {
    /// How many numbers there are.
    pub fn len(&self) -> usize {
        each!(self, v => v.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type in NumPy's words: `int8`, `float32`, ...
    pub fn type_name(&self) -> &'static str {
        match self {
            Values::Bool(_) => "bool",
            Values::I8(_) => "int8",
            Values::U8(_) => "uint8",
            Values::I16(_) => "int16",
            Values::U16(_) => "uint16",
            Values::I32(_) => "int32",
            Values::U32(_) => "uint32",
            Values::I64(_) => "int64",
            Values::U64(_) => "uint64",
            Values::F32(_) => "float32",
            Values::F64(_) => "float64",
        }
    }

    /// All numbers as `f32`, rounded to nearest where `f32` is too narrow.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Values::Bool(v) => v.iter().map(|&x| f32::from(u8::from(x))).collect(),
            Values::I8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Values::U8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Values::I16(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Values::U16(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Values::I32(v) => v.iter().map(|&x| x as f32).collect(),
            Values::U32(v) => v.iter().map(|&x| x as f32).collect(),
            Values::I64(v) => v.iter().map(|&x| x as f32).collect(),
            Values::U64(v) => v.iter().map(|&x| x as f32).collect(),
            Values::F32(v) => v.clone(),
            Values::F64(v) => v.iter().map(|&x| x as f32).collect(),
        }
    }

    /// All numbers as class ids. The error is the index of the first number that is negative,
    /// fractional or beyond `u32`.
    pub fn to_ids(&self) -> Result<Vec<u32>, usize> {
        fn all<T: Copy>(v: &[T], id: impl Fn(T) -> Option<u32>) -> Result<Vec<u32>, usize> {
            v.iter().enumerate().map(|(i, &x)| id(x).ok_or(i)).collect()
        }
        // Any whole f64 up to u32::MAX converts exactly; a NaN fails the range test.
        let float = |x: f64| {
            let whole = (0.0..=f64::from(u32::MAX)).contains(&x) && x.fract() == 0.0;
            whole.then_some(x as u32)
        };
        match self {
            Values::Bool(v) => all(v, |x| Some(u32::from(x))),
            Values::I8(v) => all(v, |x| u32::try_from(x).ok()),
            Values::U8(v) => all(v, |x| Some(u32::from(x))),
            Values::I16(v) => all(v, |x| u32::try_from(x).ok()),
            Values::U16(v) => all(v, |x| Some(u32::from(x))),
            Values::I32(v) => all(v, |x| u32::try_from(x).ok()),
            Values::U32(v) => Ok(v.clone()),
            Values::I64(v) => all(v, |x| u32::try_from(x).ok()),
            Values::U64(v) => all(v, |x| u32::try_from(x).ok()),
            Values::F32(v) => all(v, |x| float(f64::from(x))),
            Values::F64(v) => all(v, float),
        }
    }

    /// The number at `index` as text, for error messages.
    pub fn text(&self, index: usize) -> String {
        each!(self, v => v.get(index).map_or_else(String::new, ToString::to_string))
    }
}

/// Numbers with a shape. The product of `shape` equals the count of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    values: Values,
}

/// The count of numbers and the shape disagree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{count} numbers do not fill the shape {shape:?}")]
pub struct ShapeError {
    /// Numbers given.
    pub count: usize,
    /// The shape they were to fill.
    pub shape: Vec<usize>,
}

impl Array {
    /// Joins numbers and a shape.
    pub fn new(shape: Vec<usize>, values: Values) -> Result<Self, ShapeError> {
        let count = values.len();
        match count_of(&shape) {
            Some(product) if product == count => Ok(Self { shape, values }),
            _ => Err(ShapeError { count, shape }),
        }
    }

    /// Sizes of the axes, slowest first. Empty for a single number.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The parts.
    pub fn into_parts(self) -> (Vec<usize>, Values) {
        (self.shape, self.values)
    }
}

/// The product of the axes, unless it overflows.
pub(super) fn count_of(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_is_no_class() {
        assert_eq!(Values::F64(vec![0.0, 2.0]).to_ids(), Ok(vec![0, 2]));
        assert_eq!(Values::F32(vec![0.0, 1.5]).to_ids(), Err(1));
        assert_eq!(Values::F32(vec![f32::NAN]).to_ids(), Err(0));
        assert_eq!(Values::I8(vec![3, 2, -1]).to_ids(), Err(2));
        assert_eq!(Values::U64(vec![1 << 32]).to_ids(), Err(0));
    }

    #[test]
    fn a_shape_must_fit() {
        assert!(Array::new(vec![2, 3], Values::U8(vec![0; 6])).is_ok());
        assert!(Array::new(vec![2, 3], Values::U8(vec![0; 5])).is_err());
        assert!(Array::new(vec![usize::MAX, 2], Values::U8(vec![])).is_err());
        assert!(Array::new(vec![], Values::F32(vec![1.0])).is_ok());
    }
}
