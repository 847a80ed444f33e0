//! What stands beside a network that adapts where it runs.
//!
//! | module | is |
//! |---|---|
//! | [`normalise`] | inputs that have become darker, paler or louder, as the model knew them |
//! | [`prototypes`] | class means over a network's features: a new class from a few examples |
//! | [`replay`] | a fair sample of earlier examples, against forgetting |
//! | [`drift`] | one number over time: has it left what it was? |
//! | [`watch`] | inputs and outputs of a model as such numbers, counts of its answers, its training loss |
//!
//! Nothing here knows the session: a program hands in features, examples and bytes.

pub mod drift;
pub mod normalise;
pub mod prototypes;
pub mod replay;
pub mod watch;
