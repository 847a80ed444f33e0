//! Whether a board has room for an image, and what would make some.

use anyhow::{Result, bail};
use embernet::image;
use embernet::link::Board;
use embernet_core::arch::IsaId;
use embernet_core::image::Image;

/// Refuses an image that is larger than a slot of the board, or that needs more memory than the board has.
pub fn check(image: &Image<'_>, board: &Board) -> Result<()> {
    let refuse = |advice: Vec<String>| {
        let others: Vec<&str> = Board::all().filter(|other| fits(image, other)).map(|other| &other.name[..]).collect();
        let others =
            if others.is_empty() { "no board here takes it".into() } else { format!("it fits {}", others.join(", ")) };
        [advice, vec![others]].concat().join("; ")
    };
    let name = &board.name;
    let (need, have) = (image.bytes().len(), board.slots.image_bytes());
    if need > have as usize {
        bail!("the image has {need} bytes, {name} takes {have}; {}", refuse(less_flash(image)));
    }
    let (need, have) = (image.arena_bytes(), board.arena_bytes());
    if need > have as usize {
        bail!("the model needs {need} bytes of RAM, {name} has {have} at most; {}", refuse(less_ram(image)));
    }
    Ok(())
}

fn fits(image: &Image<'_>, board: &Board) -> bool {
    image.bytes().len() <= board.slots.image_bytes() as usize && image.arena_bytes() <= board.arena_bytes() as usize
}

fn less_flash(image: &Image<'_>) -> Vec<String> {
    let about = image::inspect(image);
    let steps = about.infer.steps.iter();
    let floats: usize = steps.filter(|step| step.step.ends_with("F32")).map(|step| step.flash_bytes).sum();
    let mut advice = Vec::new();
    if floats > about.data_bytes as usize / 2 {
        advice.push("`embernet quantize` makes int8 of it, about a quarter of the bytes".to_string());
    } else if about.isa != IsaId::Scalar.name() {
        advice.push("`--optimise size` packs it smaller".into());
    }
    if image.is_trainable() {
        advice.push("without --train it carries no training plan".into());
    }
    advice
}

fn less_ram(image: &Image<'_>) -> Vec<String> {
    let (infer, train) = (image.header().infer.arena_bytes, image.header().train.arena_bytes);
    let advice = if image.is_trainable() && train > infer {
        "`embernet plan --ram` finds what of it can learn in less, and without --train it needs no more than inference"
    } else if image.inputs().iter().any(|input| input.dtype() == embernet_core::image::DType::F32) {
        "`embernet quantize` makes int8 of it, about a quarter of the bytes; `--for BOARD --optimise ram` packs it for less"
    } else {
        "`--for BOARD --optimise ram` packs it for less"
    };
    vec![advice.into()]
}
