//! RISC-V with 32-bit integers and multiplication (RV32IMC).
//!
//! The order of weights and the twins of the loops are in [`crate::arch::layout::words`].
#![allow(unsafe_code)]

core::arch::global_asm!(
    include_str!("add.s"),
    include_str!("conv2d.s"),
    include_str!("dense.s"),
    include_str!("depthwise.s"),
    include_str!("place.s"),
    options(raw)
);

crate::arch::layout::words::token! {
    /// Proves that the core has the instructions of RV32IMC.
    Rv32, six, octet, embernet_rv32_filters, embernet_rv32_dense, embernet_rv32_band,
    windows embernet_rv32_place_windows, embernet_rv32_place_tile, embernet_rv32_gather,
    embernet_rv32_add ([20, 21], 2)
}
