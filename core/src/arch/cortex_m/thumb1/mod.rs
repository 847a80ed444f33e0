//! Cortex-M0: 16-bit instructions, eight registers for most of them, no long multiplication.
//!
//! The order of weights and the twins of the loops are in [`crate::arch::layout::words`].

core::arch::global_asm!(
    include_str!("add.s"),
    include_str!("conv2d.s"),
    include_str!("dense.s"),
    include_str!("depthwise.s"),
    include_str!("place.s"),
    options(raw)
);

crate::arch::layout::words::token! {
    /// Proves that the core has the instructions of a Cortex-M0.
    Thumb1, tile<1>, quad, embernet_thumb1_filters, embernet_thumb1_dense, embernet_thumb1_band,
    embernet_thumb1_place, embernet_thumb1_place_tile, embernet_thumb1_gather,
    embernet_thumb1_add ([20, 0], 2)
}
