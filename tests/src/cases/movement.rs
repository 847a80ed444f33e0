//! Movements: transposes, slices, padding, concatenation, resizing.

use super::{Case, Expected, Values, bytes, reals, shorts};
use embernet_core::kernels::resize::ResizeNearest;
use embernet_core::kernels::strided::{AXES, Outside, Side, StridedCopy};
use embernet_core::plan::Ref;
use embernet_core::rng::Rng;

/// One copy of a box within a case, whose axes are the last ones of a record.
#[derive(Debug, Clone)]
pub struct Block {
    /// Which input of the case.
    pub input: usize,
    /// The box.
    pub extents: Vec<u32>,
    /// First element and strides in the input.
    pub x: (u32, Vec<i32>),
    /// First element and strides in the output.
    pub y: (u32, Vec<i32>),
    /// What happens outside.
    pub outside: Outside,
}

impl Block {
    fn record(&self, size: u32, lens: (u32, u32), fill: u32, places: (Ref, Ref)) -> StridedCopy {
        let free = AXES - self.extents.len();
        let side = |at, elements, (start, along): &(u32, Vec<i32>)| {
            let mut strides = [0; AXES];
            strides[free..].copy_from_slice(along);
            Side { at, elements, start: *start, strides }
        };
        let mut extents = [1; AXES];
        extents[free..].copy_from_slice(&self.extents);
        let (x, y) = (side(places.0, lens.0, &self.x), side(places.1, lens.1, &self.y));
        StridedCopy { size, extents, x, repeats: 0, y, outside: self.outside as u32, fill }
    }

    /// Elements of input and output that belong together.
    fn pairs(&self) -> Vec<(usize, usize)> {
        let mut all = vec![(i64::from(self.x.0), i64::from(self.y.0))];
        for (i, extent) in self.extents.iter().enumerate() {
            let (x, y) = (i64::from(self.x.1[i]), i64::from(self.y.1[i]));
            let along = |at: &(i64, i64)| {
                let (from, to) = *at;
                (0..i64::from(*extent)).map(move |j| (from + j * x, to + j * y)).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(along).collect();
        }
        all.into_iter().map(|(x, y)| (x as usize, y as usize)).collect()
    }
}

fn moved<T: Copy>(samples: usize, inputs: &[Vec<T>], blocks: &[Block], len: usize, fill: T) -> Vec<T> {
    let mut y = vec![fill; samples * len];
    for block in blocks {
        let x = &inputs[block.input];
        for sample in 0..samples {
            for (from, to) in block.pairs() {
                y[sample * len + to] = x[sample * (x.len() / samples) + from];
            }
        }
    }
    y
}

/// Copies of boxes that fill an output of `len` elements.
pub fn copies(
    name: impl Into<String>,
    samples: usize,
    inputs: Vec<Values>,
    blocks: Vec<Block>,
    len: usize,
    fill: f32,
    published: Option<Values>,
) -> Case {
    fn all<T: Copy>(inputs: &[Values], of: impl Fn(&Values) -> Option<&Vec<T>>) -> Vec<Vec<T>> {
        inputs.iter().map(|x| of(x).expect("inputs of one type").clone()).collect()
    }
    let ((size, fill), y) = match &inputs[0] {
        Values::F32(_) => {
            let inputs = all(&inputs, |x| if let Values::F32(x) = x { Some(x) } else { None });
            ((4, fill.to_bits()), Values::F32(moved(samples, &inputs, &blocks, len, fill)))
        }
        Values::I8(_) => {
            let inputs = all(&inputs, |x| if let Values::I8(x) = x { Some(x) } else { None });
            ((1, fill as i32 as u32), Values::I8(moved(samples, &inputs, &blocks, len, fill as i8)))
        }
        Values::I16(_) => {
            let inputs = all(&inputs, |x| if let Values::I16(x) = x { Some(x) } else { None });
            ((2, fill as i32 as u32), Values::I16(moved(samples, &inputs, &blocks, len, fill as i16)))
        }
    };
    let expected = match published.unwrap_or(y) {
        Values::F32(y) => Expected::close(y.clone(), vec![0.0; y.len()]),
        Values::I8(y) => Expected::Exact(y),
        Values::I16(y) => Expected::Exact16(y),
    };
    let lens: Vec<u32> = inputs.iter().map(|x| (x.len() / samples) as u32).collect();
    Case::new(name, samples, inputs, expected, move |step| {
        for block in blocks.clone() {
            let lens = (lens[block.input], len as u32);
            step.step(&[], 0, move |at| block.record(size, lens, fill, (at.x[block.input], at.y)));
        }
    })
}

/// Elements from one index to the next of a row-major tensor.
pub fn natural(shape: &[u32]) -> Vec<i32> {
    (0..shape.len()).map(|i| shape[i + 1..].iter().product::<u32>() as i32).collect()
}

/// A transpose: output axis `i` is input axis `perm[i]`.
pub fn transpose(
    name: impl Into<String>,
    samples: usize,
    shape: &[u32],
    perm: &[usize],
    x: Values,
    y: Option<Values>,
) -> Case {
    let extents: Vec<u32> = perm.iter().map(|&axis| shape[axis]).collect();
    let strides = natural(shape);
    let x_side = (0, perm.iter().map(|&axis| strides[axis]).collect());
    let len = extents.iter().product::<u32>() as usize;
    let y_side = (0, natural(&extents));
    let block = Block { input: 0, extents, x: x_side, y: y_side, outside: Outside::Later };
    copies(name, samples, vec![x], vec![block], len, 0.0, y)
}

/// A border of `value`.
pub fn pad(
    name: impl Into<String>,
    samples: usize,
    shape: &[u32],
    (before, after): (&[u32], &[u32]),
    value: f32,
    x: Values,
    y: Option<Values>,
) -> Case {
    let padded: Vec<u32> = shape.iter().zip(before).zip(after).map(|((d, b), a)| d + b + a).collect();
    let strides = natural(&padded);
    let start = before.iter().zip(&strides).map(|(b, s)| b * *s as u32).sum();
    let len = padded.iter().product::<u32>() as usize;
    let extents = shape.to_vec();
    let block = Block { input: 0, extents, x: (0, natural(shape)), y: (start, strides), outside: Outside::Fill };
    copies(name, samples, vec![x], vec![block], len, value, y)
}

/// Two inputs of `[rows][widths]`, side by side.
pub fn concat(
    name: impl Into<String>,
    samples: usize,
    rows: u32,
    widths: [u32; 2],
    x: [Values; 2],
    y: Option<Values>,
) -> Case {
    let width = widths[0] + widths[1];
    let part = |input: usize, outside| Block {
        input,
        extents: vec![rows, widths[input]],
        x: (0, vec![widths[input] as i32, 1]),
        y: (if input == 0 { 0 } else { widths[0] }, vec![width as i32, 1]),
        outside,
    };
    let parts = vec![part(0, Outside::Later), part(1, Outside::Keep)];
    copies(name, samples, x.into(), parts, (rows * width) as usize, 0.0, y)
}

fn resize(name: &str, x: Vec<i8>) -> Case {
    let (rows, cols) = (vec![0u32, 0, 1, 2, 2], vec![1u32, 0, 0]);
    let mut y = Vec::new();
    for x in x.chunks(3 * 2 * 4) {
        for row in &rows {
            for col in &cols {
                y.extend_from_slice(&x[(*row as usize * 2 + *col as usize) * 4..][..4]);
            }
        }
    }
    let samples = x.len() / (3 * 2 * 4);
    Case::new(name, samples, vec![Values::I8(x)], Expected::Exact(y), move |step| {
        step.step(&[&rows, &cols], 0, move |at| ResizeNearest {
            in_h: 3,
            in_w: 2,
            out_h: 5,
            out_w: 3,
            size: 1,
            channels: 4,
            rows: at.constants[0],
            cols: at.constants[1],
            x: at.x[0],
            y: at.y,
        });
    })
}

/// The built-in cases.
pub fn cases(rng: &mut Rng) -> Vec<Case> {
    let shape = [2, 3, 5];
    let values = |rng: &mut Rng, len: usize| {
        [Values::F32(reals(rng, len)), Values::I8(bytes(rng, len)), Values::I16(shorts(rng, len))]
    };
    let mut all = Vec::new();
    for (name, x) in ["f32", "i8", "i16"].into_iter().zip(values(rng, 60)) {
        all.push(transpose(format!("transpose/{name}"), 2, &shape, &[2, 0, 1], x, None));
    }
    for (name, x) in ["f32", "i8", "i16"].into_iter().zip(values(rng, 60)) {
        all.push(pad(format!("pad/{name}"), 2, &shape, (&[1, 0, 2], &[0, 1, 1]), -3.0, x, None));
    }
    for (name, x) in ["f32", "i8", "i16"].into_iter().zip(values(rng, 60)) {
        // Rows 1 and 0, columns 4, 2 and 0.
        let block = Block {
            input: 0,
            extents: vec![2, 3, 3],
            x: (19, vec![-15, 5, -2]),
            y: (0, vec![9, 3, 1]),
            outside: Outside::Later,
        };
        all.push(copies(format!("slice/{name}"), 2, vec![x], vec![block], 18, 0.0, None));
    }
    for ((name, a), b) in ["f32", "i8", "i16"].into_iter().zip(values(rng, 24)).zip(values(rng, 40)) {
        all.push(concat(format!("concat/{name}"), 2, 4, [3, 5], [a, b], None));
    }
    all.push(resize("resize/i8", bytes(rng, 48)));
    all
}
