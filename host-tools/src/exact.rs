//! f32 in JSON as the f64 of the same value, so that it comes back with the same bits.
//!
//! A JSON reader parses to f64 and may be off by its last bit. The nearest f32 is then still ours,
//! because the written value is exactly representable; the shortest decimal of an f32 has no such
//! guarantee. Use as `#[serde(with = "crate::exact::list")]`.

/// One number.
pub mod one {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &f32, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(f64::from(*value))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f32, D::Error> {
        Ok(f64::deserialize(d)? as f32)
    }
}

/// One number inside an enum with a tag, in formats that describe themselves.
///
/// It is read as JSON's own number: one of our dependencies has `serde_json` keep the text of numbers, and nothing
/// else finds its way through that and through the enum.
pub mod tagged {
    pub use super::one::serialize;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer};

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f32, D::Error> {
        let number = serde_json::Number::deserialize(d)?;
        number.as_f64().map(|v| v as f32).ok_or_else(|| D::Error::custom(format!("{number} is out of range")))
    }
}

/// A list inside an enum with a tag: see [`tagged`].
pub mod tagged_list {
    pub use super::list::serialize;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer};

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<f32>, D::Error> {
        let numbers = Vec::<serde_json::Number>::deserialize(d)?;
        let real = |number: &serde_json::Number| number.as_f64().map(|v| v as f32);
        let reals: Option<Vec<f32>> = numbers.iter().map(real).collect();
        reals.ok_or_else(|| D::Error::custom("a number is out of range"))
    }
}

/// A list.
pub mod list {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(values: &[f32], s: S) -> Result<S::Ok, S::Error> {
        values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>().serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<f32>, D::Error> {
        Ok(Vec::<f64>::deserialize(d)?.into_iter().map(|v| v as f32).collect())
    }
}
