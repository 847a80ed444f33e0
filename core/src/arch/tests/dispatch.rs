//! Choosing a token.

use crate::arch::{Isa, IsaId, Task, best, best_exact, run_best, run_on};

struct Id;

impl Task for Id {
    type Output = IsaId;
    fn run<I: Isa>(self, _: I) -> IsaId {
        I::ID
    }
}

#[test]
fn names_and_numbers_lead_back() {
    for id in IsaId::ALL {
        assert_eq!(IsaId::from_u32(id as u32), Some(id));
        assert_eq!(IsaId::from_name(id.name()), Some(id));
    }
    assert_eq!(IsaId::from_u32(IsaId::ALL.len() as u32), None);
    assert_eq!(IsaId::from_name("AVX2"), None);
}

#[test]
fn a_task_runs_on_the_token_that_was_asked_for() {
    for id in IsaId::ALL {
        assert_eq!(run_on(id, Id), id.is_available().then_some(id));
    }
    assert!(IsaId::Scalar.is_available());
    assert_eq!(run_best(Id), best());
    assert!(best_exact().is_exact() && best_exact().is_available());
}

#[test]
fn only_enough_scratch_will_do() {
    assert!(IsaId::Scalar.can_run(IsaId::Avx512) && IsaId::Avx2Exact.can_run(IsaId::Scalar));
    assert!(IsaId::Avx2.can_run(IsaId::Avx512) && !IsaId::Avx2.can_run(IsaId::Scalar));
    // Hosts read a device's order of weights; how a device refuses another's, only devices can show.
    assert!(
        IsaId::Scalar.can_run(IsaId::Dsp) && IsaId::Avx2Exact.can_run(IsaId::Dsp) && !IsaId::Avx2.can_run(IsaId::Dsp)
    );
}

#[test]
fn vectorize_gives_back_what_the_body_gives() {
    struct Sum;
    impl Task for Sum {
        type Output = f32;
        fn run<I: Isa>(self, isa: I) -> f32 {
            let mut y = [1.0f32; 37];
            isa.vectorize(|| y.iter_mut().for_each(|y| *y *= 3.0));
            y.iter().sum()
        }
    }
    for id in IsaId::ALL {
        assert!(run_on(id, Sum).is_none_or(|sum| sum == 111.0));
    }
}
