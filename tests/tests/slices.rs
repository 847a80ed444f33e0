//! Runs in slices give the bits of runs in one go.

use core::task::Poll;
use embernet::image::arena_for;
use embernet_core::arch::Scalar;
use embernet_core::exec::{PlanKind, Running, Session, SessionError};
use embernet_core::image::Image;
use embernet_core::optim::OptimizerRecord;
use embernet_core::rng::Rng;
use embernet_tests::models;

/// Polls to the end; how often that was.
fn finish<'a>(session: &mut Session<'a, Scalar>, run: &mut Running<'a>, budget: usize) -> usize {
    let mut polls = 1;
    let mut left = run.steps_left();
    while session.poll(run, budget) == Poll::Pending {
        assert_eq!(left - run.steps_left(), budget);
        left = run.steps_left();
        polls += 1;
    }
    polls
}

fn with_session<T>(image: &Image<'_>, work: impl FnOnce(&mut Session<'_, Scalar>) -> T) -> T {
    let mut arena = arena_for(image);
    work(&mut Session::new(image, &mut arena, Scalar).unwrap())
}

#[test]
fn training_in_slices() {
    let packed = models::iris(OptimizerRecord::adam(0.01));
    let image = packed.image().unwrap();
    let steps = models::steps(3, 20);
    let (losses, params) = models::replay(&image, &steps);
    let plan = image.train_plan().len();
    for budget in [1, 2, 5, plan, usize::MAX] {
        with_session(&image, |session| {
            for ((inputs, labels), loss) in steps.iter().zip(&losses) {
                session.input_mut(PlanKind::Train, 0)[..inputs.len()].copy_from_slice(inputs);
                session.target_mut()[..labels.len()].copy_from_slice(labels);
                let mut run = session.start_train_step(labels.len() / 4).unwrap();
                assert_eq!(finish(session, &mut run, budget), plan.div_ceil(budget));
                assert_eq!(run.loss().to_bits(), loss.to_bits());
                // Nothing is done twice.
                assert_eq!((session.poll(&mut run, 9), run.steps_left()), (Poll::Ready(()), 0));
            }
            assert_eq!(session.params(), params, "budget {budget}");
        });
    }
}

#[test]
fn inference_in_slices() {
    let packed = models::wide();
    let image = packed.image().unwrap();
    let input = models::values(&mut Rng::new(4), 300);
    let whole = models::infer(&image, &input);
    for budget in 1..4 {
        with_session(&image, |session| {
            session.input_mut(PlanKind::Infer, 0).copy_from_slice(&input);
            let mut run = session.start_infer(3).unwrap();
            finish(session, &mut run, budget);
            assert_eq!(session.output(0), whole, "budget {budget}");
        });
    }
}

#[test]
fn a_budget_of_nothing_does_nothing() {
    let packed = models::wide();
    let image = packed.image().unwrap();
    with_session(&image, |session| {
        let mut run = session.start_infer(1).unwrap();
        let steps = run.steps_left();
        assert_eq!((session.poll(&mut run, 0), run.steps_left()), (Poll::Pending, steps));
    });
}

/// A run may reach a session that did not begin it: one with less memory gives it up.
#[test]
fn a_run_of_another_session_ends() {
    let packed = [models::iris(OptimizerRecord::sgd(0.1)), models::wide()];
    let mut images = packed.each_ref().map(|packed| packed.image().unwrap());
    images.sort_by_key(Image::arena_bytes);
    let [small, large] = &images;
    let (mut few, mut many) = (arena_for(small), arena_for(large));
    let mut little = Session::new(small, &mut few, Scalar).unwrap();
    let mut much = Session::new(large, &mut many, Scalar).unwrap();
    let params = little.params().to_vec();
    let mut run = much.start_infer(1).unwrap();
    assert_eq!((little.poll(&mut run, 1), run.steps_left()), (Poll::Ready(()), 0));
    assert_eq!(little.params(), params);
}

#[test]
fn what_cannot_run_cannot_start() {
    let packed = models::wide();
    let image = packed.image().unwrap();
    with_session(&image, |session| {
        assert_eq!(session.start_infer(4).unwrap_err(), SessionError::Samples { found: 4, most: 3 });
        assert_eq!(session.start_train_step(1).unwrap_err(), SessionError::NotTrainable);
    });
}
