//! From a sensor's values to a model's input: windows and features of them, in integers, so that host and device agree.
//!
//! | module | is |
//! |---|---|
//! | [`window`] | the last values of some axes, and when the next window is due |
//! | [`features`] | mean, deviation, range and the like of a window |
//!
//! ```
//! use embernet_core::signal::features::Axis;
//! use embernet_core::signal::window::Window;
//!
//! // 100 values of three axes; a window is due every 50 values.
//! let mut window = Window::<3, 100>::new(50);
//! for step in 0..100 {
//!     if window.push([step, -step, 7]) {
//!         let features = [0, 1, 2].map(|axis| Axis::of(window.axis(axis)));
//!         assert_eq!((features[0].mean, features[1].roughness, features[2].range), (49, 1, 0));
//!     }
//! }
//! ```

pub mod features;
pub mod window;
