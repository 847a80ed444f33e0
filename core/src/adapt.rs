//! What stands beside a network that adapts where it runs.
//!
//! | module | is |
//! |---|---|
//! | [`drift`] | one number over time: has it left what it was? |
//! | [`watch`] | the inputs and outputs of a model as such numbers, counts of its answers, its training loss |
//!
//! Nothing here knows the session; a program hands in bytes and numbers.

pub mod drift;
pub mod watch;
