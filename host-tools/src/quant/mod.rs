//! Quantisation: how real networks become int8 ones.

pub mod fixed_point;
