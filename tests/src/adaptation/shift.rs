//! What happens to a camera, and what undoes it in front of a network.

use super::Samples;
use embernet::graph::Graph;
use embernet_core::adapt::normalise::{Moments, Seen, Table, apply, observe};
use embernet_core::quant::{dequantize_i8, quantize_i8};
use embernet_core::rng::Rng;

/// A change of images with pixels from 0 to 255.
#[derive(Debug, Clone, Copy)]
pub struct Shift {
    /// What people call it.
    pub name: &'static str,
    change: Change,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    /// Each channel times a factor plus an offset.
    Light { factor: [f32; 3], offset: f32 },
    /// Turned about the centre, by so many degrees.
    Tilt(f32),
    /// Noise of this standard deviation.
    Noise(f32),
}

const fn light(name: &'static str, factor: [f32; 3], offset: f32) -> Shift {
    Shift { name, change: Change::Light { factor, offset } }
}

/// Shifts of grey images.
pub const GREYS: [Shift; 5] = [
    light("dark", [0.2; 3], 0.0),
    light("pale", [0.3; 3], 150.0),
    light("negative", [-1.0; 3], 255.0),
    Shift { name: "tilted", change: Change::Tilt(40.0) },
    Shift { name: "noisy", change: Change::Noise(90.0) },
];

/// Shifts of colour images.
pub const COLOURS: [Shift; 4] = [
    light("dark", [0.12; 3], 0.0),
    light("bright", [0.25; 3], 190.0),
    light("orange", [1.4, 0.6, 0.15], 0.0),
    light("blue", [0.15, 0.5, 1.3], 20.0),
];

impl Shift {
    /// Images of `side` x `side` pixels of `channels` values after it, rounded to whole steps of a camera.
    #[must_use]
    pub fn of(&self, samples: &Samples, side: usize, channels: usize, seed: u64) -> Samples {
        let mut rng = Rng::with_stream(seed, 8);
        let x: Vec<f32> = match self.change {
            Change::Light { factor, offset } => {
                samples.x.iter().enumerate().map(|(at, x)| x * factor[at % channels] + offset).collect()
            }
            Change::Tilt(degrees) => {
                samples.x.chunks(side * side * channels).flat_map(|x| tilted(x, side, channels, degrees)).collect()
            }
            // The sum of twelve has a variance of 1.
            Change::Noise(deviation) => {
                let mut noise = || (0..12).map(|_| rng.unit_f32()).sum::<f32>() - 6.0;
                samples.x.iter().map(|x| x + deviation * noise()).collect()
            }
        };
        Samples { x: x.iter().map(|x| x.round().clamp(0.0, 255.0)).collect(), labels: samples.labels.clone() }
    }
}

/// An image turned about its centre: the nearest pixel, or 0 beside the image.
fn tilted(image: &[f32], side: usize, channels: usize, degrees: f32) -> Vec<f32> {
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let middle = (side as f32 - 1.0) / 2.0;
    let mut turned = vec![0.0; image.len()];
    for (at, pixel) in turned.chunks_mut(channels).enumerate() {
        let (x, y) = ((at % side) as f32 - middle, (at / side) as f32 - middle);
        let (from_x, from_y) = ((cosine * x + sine * y + middle).round(), (cosine * y - sine * x + middle).round());
        let inside = |place: f32| (0.0..side as f32).contains(&place);
        if inside(from_x) && inside(from_y) {
            let from = (from_y as usize * side + from_x as usize) * channels;
            pixel.copy_from_slice(&image[from..from + channels]);
        }
    }
    turned
}

/// Samples of an int8 model as [`embernet_core::adapt::normalise`] makes them in front of it: `seen` samples, whose
/// labels nobody needs, say what has happened to each channel, and `reference` how it was.
///
/// # Panics
/// If the model's input is not int8.
pub fn normalised<const N: usize>(
    model: &Graph,
    reference: &[Moments; N],
    seen: &Samples,
) -> impl Fn(&Samples) -> Samples {
    let quant = model.tensor(model.inputs[0]).quant.as_ref().and_then(|quant| quant.single());
    let (scale, zero_point) = quant.expect("an int8 model");
    let bytes =
        move |samples: &Samples| -> Vec<i8> { samples.x.iter().map(|x| quantize_i8(*x, scale, zero_point)).collect() };
    let mut channels = [Seen::default(); N];
    observe(&mut channels, &bytes(seen));
    let tables: Vec<Table> = channels
        .iter()
        .zip(reference)
        .map(|(seen, reference)| seen.moments().map_or(Table::IDENTITY, |seen| Table::new(&seen, reference)))
        .collect();
    move |samples| {
        let mut bytes = bytes(samples);
        apply(&tables, &mut bytes);
        let x = bytes.iter().map(|x| dequantize_i8(*x, scale, zero_point)).collect();
        Samples { x, labels: samples.labels.clone() }
    }
}
