//! The kind Service: shared containers that agents connect to, kept running and healthy.
//!
//! One pass over a service goes [`observe`] → [`plan`] → execute → publish. [`plan`], [`backoff`] and [`health`] are
//! pure; everything that is to be decided is decided there. Probes run beside the passes, one task per run of a
//! service, and wake the loop only when their verdict changes.
//!
//! # Guarantees
//!
//! * Only objects that carry this project's labels are touched.
//! * A data volume is removed only by `down --volumes`, and never used with another major version of its program.
//! * A service that is not wanted running is never started; one that ends is started again with growing waits.

pub mod backoff;
pub mod env;
mod execute;
mod follow;
pub mod health;
mod kind;
mod look;
pub mod names;
pub mod observe;
pub mod output;
pub mod plan;
pub mod ports;
pub mod probe;
mod prober;
mod record;
mod report;
mod requests;
mod sources;
pub mod spec;
mod status;
mod table;

pub use execute::{META_DOWN, name_taken};
pub use kind::{Deps, Key, Services};
pub use look::{Looked, look};
pub use report::{record_event, set_condition};
pub use sources::{follow_engine, follow_engine_with};
