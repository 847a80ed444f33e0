//! Tests of this layer against its definition in f64.
