//! The error bounds that `docs/numerics.md` derives.
