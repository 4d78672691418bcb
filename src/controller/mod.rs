//! The generic controller: a keyed queue with backoff, the loop, the published snapshot, the handle. Knows no kind.
//!
//! A [`Kind`] says how to observe everything and how to bring one object nearer to what is wanted. [`run`] decides
//! when: on a [`Wake`] from any source, after a time the last pass asked for, after a failure with growing waits, and
//! for everything at least every half minute. Wakes carry no payload, so a lost or doubled one changes nothing but
//! the moment. State leaves through a [`Publisher`], requests enter through a [`Handle`].

mod clock;
mod handle;
mod publish;
mod queue;
mod run;
mod waker;

pub use clock::{Clock, SystemClock, TokioClock};
pub use handle::{Envelope, Handle, HandleError};
pub use publish::Publisher;
pub use run::{Kind, Next, Options, PassError, run};
pub use waker::{Wake, Waker};
