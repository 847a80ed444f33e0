//! Which kinds of steps a device program carries.
//!
//! All of them, unless `EMBERNET_STEPS` lists kinds when the program is compiled for a device: numbers and ranges, as
//! `64,65,70` or `1-127`. Kernels that no listed kind needs are then not in the program, and an image that needs them
//! is refused as if the kind were unknown. On a PC the list has no meaning. `EMBERNET_ORDERS` does the same for the
//! orders of int8 weights. `EMBERNET_OPTIMISE=size` makes a program whose layers run in the fewest bytes.
//!
//! Some steps are for hosts: they do in one go, with much scratch, what a device does step by step. No device program
//! carries them. Those of 16-bit fixed point are for cores without floats: where the core computes floats a program
//! carries them only if the list says so, and elsewhere those of images (convolutions, pools) only then, too: the smallest
//! boards have no room for them beside everything else. Those that keep activations in fewer bits come with the narrow
//! forms of an optimiser's state ([`STATES`]).

/// The list; `None` means all.
const LIST: Option<&str> = if cfg!(target_os = "none") { option_env!("EMBERNET_STEPS") } else { None };

/// Orders of int8 weights (see [`crate::arch::layout`]) that a device program has loops for: `plain`, `own` (the
/// token's), or both where `EMBERNET_ORDERS` is not set.
const ORDERS: Option<&[u8]> = match option_env!("EMBERNET_ORDERS") {
    Some(orders) if cfg!(target_os = "none") => Some(orders.as_bytes()),
    _ => None,
};

/// Whether this program is built for size: layers of windows run in the fewest bytes ([`crate::kernels::compact`]), int8
/// weights lie in the plain order. On a device if `EMBERNET_OPTIMISE` is `size`; its board then has no token but
/// [`crate::arch::Scalar`].
pub const COMPACT: bool = matches!(AIM, Some(b"size")) && cfg!(target_os = "none");

const AIM: Option<&[u8]> = match option_env!("EMBERNET_OPTIMISE") {
    Some(aim) => Some(aim.as_bytes()),
    None => None,
};

const _: () =
    assert!(matches!(AIM, None | Some(b"size" | b"speed")), "EMBERNET_OPTIMISE is `size` or `speed`, or not set");

/// Whether this program has loops for int8 weights in the plain order.
pub const PLAIN: bool = COMPACT || !matches!(ORDERS, Some(b"own"));

/// Whether this program has loops for int8 weights in its token's own order.
pub const OWN: bool = !COMPACT && !matches!(ORDERS, Some(b"plain"));

const _: () =
    assert!(matches!(ORDERS, None | Some(b"plain" | b"own")), "EMBERNET_ORDERS is `plain` or `own`, or not set");

/// Whether this program keeps an optimiser's state in other ways than f32, adds up gradients of several passes, and keeps
/// activations in fewer bits: on a device if `EMBERNET_STATES` is `all`.
pub const STATES: bool = match option_env!("EMBERNET_STATES") {
    Some(states) => matches!(states.as_bytes(), b"all") || !cfg!(target_os = "none"),
    None => !cfg!(target_os = "none"),
};

/// Whether this program watches its model at work ([`crate::adapt::watch`]) when the host asks for it: on a device unless
/// `EMBERNET_WATCH` is `none`.
pub const WATCHES: bool = match option_env!("EMBERNET_WATCH") {
    Some(watch) => !matches!(watch.as_bytes(), b"none") || !cfg!(target_os = "none"),
    None => true,
};

/// The kind that normalises inputs.
pub(super) const NORMALISE: u16 = super::kind::NormaliseI8;

/// Whether this program normalises inputs ([`crate::adapt::normalise`]).
pub const NORMALISES: bool = carries(NORMALISE);

/// Whether a kind is a loss or a backward step, or has tables that a device changes: these are kept as parameters are.
const fn is_training(kind: u16) -> bool {
    // Among the backward steps are those forward whose numbers are 16 bits of fixed point.
    matches!(kind, FIRST_TRAINING_KIND..=299 | 316..FIRST_HOST_KIND | NORMALISE)
}

/// Whether a kind is a loss.
pub(super) const fn is_loss(kind: u16) -> bool {
    matches!(kind, FIRST_TRAINING_KIND..=191 | 316..=319)
}

/// Kinds from here on are losses and backward steps, and other numbers' kinds of both directions. (Batch statistics,
/// for training too, lie before.)
pub const FIRST_TRAINING_KIND: u16 = 128;

/// Kinds from here on are for hosts.
pub const FIRST_HOST_KIND: u16 = 512;

/// Kinds from here on, up to those for hosts, compute in 16-bit fixed point.
pub const FIRST_FIXED_KIND: u16 = 300;

/// Whether a kind computes in 16-bit fixed point.
pub const fn is_fixed(kind: u16) -> bool {
    FIRST_FIXED_KIND <= kind && kind < FIRST_HOST_KIND
}

/// Whether the core that this is compiled for computes floats in hardware.
const HAS_FPU: bool = cfg!(target_abi = "eabihf");

/// Whether a kind is a convolution or a pool in 16-bit fixed point.
pub const fn is_fixed_image(kind: u16) -> bool {
    matches!(kind, 324..=339)
}

/// Whether a kind keeps activations for the backward pass in fewer bits.
pub const fn is_compression(kind: u16) -> bool {
    matches!(kind, 248..=249)
}

/// Whether this program carries steps of `kind`.
pub const fn carries(kind: u16) -> bool {
    if cfg!(target_os = "none") && kind >= FIRST_HOST_KIND {
        return false;
    }
    match LIST {
        Some(list) => lists(list.as_bytes(), kind),
        None if cfg!(target_os = "none") => {
            let with_states = is_compression(kind) || kind == NORMALISE;
            !(is_fixed_image(kind) || HAS_FPU && is_fixed(kind) || !STATES && with_states)
        }
        None => true,
    }
}

/// Whether this program carries steps that train, or otherwise change what is kept.
pub const TRAINS: bool = {
    let mut kind = 0;
    while kind < FIRST_HOST_KIND && !(is_training(kind) && carries(kind)) {
        kind += 1;
    }
    kind < FIRST_HOST_KIND
};

/// Whether a list of numbers and ranges holds `kind`.
const fn lists(mut list: &[u8], kind: u16) -> bool {
    let (mut first, mut number, mut is_range) = (0, 0u16, false);
    loop {
        match list {
            [digit @ b'0'..=b'9', rest @ ..] => {
                number = number.saturating_mul(10).saturating_add((*digit - b'0') as u16);
                list = rest;
            }
            [b'-', rest @ ..] => {
                (first, number, is_range) = (number, 0, true);
                list = rest;
            }
            end => {
                if kind == number || (is_range && first <= kind && kind <= number) {
                    return true;
                }
                let [_, rest @ ..] = end else { return false };
                (number, is_range) = (0, false);
                list = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn numbers_and_ranges() {
        let listed = |list: &str| (1..300).filter(|kind| lists(list.as_bytes(), *kind)).collect::<Vec<u16>>();
        assert_eq!(listed("64,65,70"), [64, 65, 70]);
        assert_eq!(listed("1-3,9"), [1, 2, 3, 9]);
        assert_eq!(listed("9, 64-66"), [9, 64, 65, 66]);
        assert_eq!(listed(""), [0; 0]);
    }

    #[test]
    fn a_pc_carries_all() {
        assert!(carries(1) && carries(255) && TRAINS);
    }
}
