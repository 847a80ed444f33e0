//! Published operator vectors on every runtime of this process: int8 bit for bit, f32 within derived bounds.
//!
//! What is skipped is listed with its reason, and the whole list is held against a snapshot.

use embernet_core::quant::functions::{exp_of_negative, reciprocal};
use embernet_core::quant::{rounding_divide_by_pot, saturating_rounding_doubling_high_mul};
use embernet_tests::cases::Expected;
use embernet_tests::runtime::hosts;
use embernet_tests::vectors::{self, Folder, Vector};
use std::fmt::Write as _;

#[test]
fn cmsis_nn() {
    let Some(root) = vectors::cmsis_nn("operator vectors") else { return };
    let vectors = vectors::all(&root);
    let mut runtimes = hosts();
    let mut failures = Vec::new();
    let (mut passed, mut table) = (0, String::new());
    for vector in &vectors {
        let (name, outcome) = match vector {
            Vector::Skipped { name, reason } => (name, format!("skipped: {reason}")),
            Vector::Case(case) => {
                for runtime in &mut runtimes {
                    if let Err(error) = case.run(&mut **runtime) {
                        failures.push(format!("{} on {}: {error}", case.name, runtime.name()));
                    }
                }
                passed += 1;
                let how = if matches!(case.expected, Expected::Exact(_) | Expected::Exact16(_)) {
                    "bit for bit"
                } else {
                    "within bounds"
                };
                (&case.name, format!("runs, {how}"))
            }
        };
        writeln!(table, "{name:<60} {outcome}").expect("text");
    }
    let skipped = vectors.len() - passed;
    writeln!(table, "{passed} run, {skipped} skipped").expect("text");
    println!("{table}");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    insta::assert_snapshot!("cmsis_nn", table);
}

/// The only int8 softmax vector by itself has int16 outputs, which no step of ours gives. Its arithmetic is that of
/// the int8 one but for the last shift, so it checks our exponential and reciprocal all the same.
#[test]
fn softmax_with_sixteen_bits_shows_that_the_fixed_point_functions_are_exact() {
    let Some(root) = vectors::cmsis_nn("softmax with 16 bits") else { return };
    let folder = Folder::open(&root.join("softmax_s8_s16"));
    let (multiplier, left_shift) = (folder.int(&["INPUT_MULT"]), folder.int(&["INPUT_LEFT_SHIFT"]));
    let (diff_min, len) = (folder.int(&["DIFF_MIN"]), folder.count(&["ROW_SIZE"]) as usize);
    let x: Vec<i8> = folder.array(&["input"]);
    let expected: Vec<i16> = folder.array(&["output_ref"]);
    let mut found = Vec::new();
    for row in x.chunks(len) {
        let greatest = i32::from(*row.iter().max().expect("a row"));
        let exp = |x: i8| {
            let difference = i32::from(x) - greatest;
            assert!(difference >= diff_min, "the data has no such element");
            exp_of_negative(saturating_rounding_doubling_high_mul(difference << left_shift, multiplier), 5)
        };
        let sum = row.iter().map(|&x| rounding_divide_by_pot(exp(x), 12)).sum();
        let (mantissa, exponent) = reciprocal(sum, 12);
        for &x in row {
            let share = saturating_rounding_doubling_high_mul(mantissa, exp(x));
            let y = rounding_divide_by_pot(share, (exponent + 31 - 16) as u32) - 32768;
            found.push(y.clamp(-32768, 32767) as i16);
        }
    }
    assert_eq!(found, expected);
}
