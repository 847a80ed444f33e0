//! Images with classes.

use embernet_core::rng::Rng;

/// Samples as reals, one after the other, and their classes.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// `[samples][elements]`
    pub x: Vec<f32>,
    /// `[samples]`
    pub labels: Vec<u32>,
}

impl Samples {
    /// Elements of one.
    pub fn elements(&self) -> usize {
        self.x.len() / self.labels.len().max(1)
    }

    /// Those with these numbers.
    #[must_use]
    pub fn some(&self, numbers: &[usize]) -> Self {
        let elements = self.elements();
        Self {
            x: numbers.iter().flat_map(|n| self.x[n * elements..(n + 1) * elements].to_vec()).collect(),
            labels: numbers.iter().map(|n| self.labels[*n]).collect(),
        }
    }

    /// Two halves, drawn at random.
    pub fn halves(&self, seed: u64) -> [Self; 2] {
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        Rng::with_stream(seed, 7).shuffle(&mut order);
        let (first, second) = order.split_at(order.len() / 2);
        [self.some(first), self.some(second)]
    }

    /// The same with every value changed.
    #[must_use]
    pub fn map(&self, change: impl Fn(f32) -> f32) -> Self {
        Self { x: self.x.iter().map(|x| change(*x)).collect(), labels: self.labels.clone() }
    }
}

/// Images with rows of `width` pixels of `channels` values, and their mirror images behind them.
#[must_use]
pub fn mirrored(samples: &Samples, width: usize, channels: usize) -> Samples {
    let rows = samples.x.chunks(width * channels);
    let flipped = rows.flat_map(|row| row.chunks(channels).rev().flatten().copied());
    Samples {
        x: samples.x.iter().copied().chain(flipped).collect(),
        labels: [&samples.labels[..], &samples.labels].concat(),
    }
}

/// Images of `from` x `from` as `to` x `to`, bilinear; rows and columns at the border are repeated.
pub fn enlarged(images: &[f32], from: usize, to: usize) -> Vec<f32> {
    let place = |at: usize| {
        let at = ((at as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, (from - 1) as f32);
        let low = at as usize;
        (low, (low + 1).min(from - 1), at - low as f32)
    };
    let mut enlarged = Vec::with_capacity(images.len() / (from * from) * to * to);
    for image in images.chunks(from * from) {
        for row in 0..to {
            let (top, bottom, down) = place(row);
            for column in 0..to {
                let (left, right, across) = place(column);
                let line = |row: usize| {
                    image[row * from + left] + (image[row * from + right] - image[row * from + left]) * across
                };
                enlarged.push(line(top) + (line(bottom) - line(top)) * down);
            }
        }
    }
    enlarged
}
