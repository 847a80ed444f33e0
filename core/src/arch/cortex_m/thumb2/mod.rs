//! Cortex-M3: 32-bit multiply-accumulate, no DSP extension.
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
    /// Proves that the core has the instructions of a Cortex-M3.
    Thumb2, tile<2>, quad, embernet_thumb2_filters, embernet_thumb2_dense, embernet_thumb2_band,
    pixel embernet_thumb2_place, embernet_thumb2_place_tile, embernet_thumb2_gather,
    embernet_thumb2_add ([21, 22], 1)
}
