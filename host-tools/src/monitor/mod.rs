//! A device at work, live: what it infers, how long that takes, whether its world drifts, what it learns, and what its
//! log says.
//!
//! ```text
//! source   asks a device, or only hears it   -> Event
//! State    takes events and keeps what a view shows
//! view     draws a State in a terminal;  plain  tells an Event in one line
//! ```
//!
//! The same view shows a training (`embernet learn`).

mod event;
mod plain;
mod reading;
#[cfg(feature = "probe")]
mod rtt;
mod source;
mod state;
mod view;

pub use event::{Counters, Drift, Event};
pub use plain::line;
pub use reading::readings;
#[cfg(feature = "probe")]
pub use rtt::Rtt;
pub use source::{Feed, Heard, Samples, Source, Watcher};
pub use state::{Clock, Series, State, Told};
pub use view::draw;
