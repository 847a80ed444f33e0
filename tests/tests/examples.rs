//! The model in the examples for one's own firmware is one of today's.

use std::{env, fs};

use embernet::image::{Format, Piece, Target};
use embernet::link::workspace;
use embernet_core::arch::Scalar;
use embernet_core::exec::{PlanKind, Session};
use embernet_core::image::Image;
use embernet_core::optim::OptimizerRecord;
use embernet_examples::{MODEL, ModelArena, best, measure, put};
use embernet_tests::models;

#[test]
fn the_model_of_the_examples_runs() {
    let today = models::iris(OptimizerRecord::sgd(0.1));
    if env::var_os("EMBERNET_SAVE").is_some() {
        let pieces = vec![Piece { address: 0, bytes: today.bytes.to_vec() }];
        let text = Format::Rust.wrap(pieces, &Target::default()).unwrap();
        fs::write(workspace().join("firmware/examples/src/model.rs"), text).unwrap();
    }
    let image = Image::parse(&MODEL.0).unwrap_or_else(|error| {
        panic!("{error}: EMBERNET_SAVE=1 cargo test -p embernet-tests --test examples writes the model anew")
    });
    let mut arena = ModelArena::new();
    let mut session = Session::new(&image, arena.bytes(), Scalar).unwrap();
    put(&measure(), session.input_mut(PlanKind::Infer, 0));
    session.infer(1).unwrap();

    let mut input = [0; 16];
    put(&measure(), &mut input);
    let expected = models::infer(&today.image().unwrap(), &input);
    assert_eq!(session.output(0), expected);
    assert!(best(&expected) < 3);
}
