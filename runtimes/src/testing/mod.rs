//! The strict in-memory engine, the fault decorator and the contract suite.
//!
//! * [`FakeRuntime`] keeps a world of images, containers, networks and volumes in memory, on tokio's clock only, so
//!   that a test with a paused clock runs hours in milliseconds. It is stricter than any engine: what passes on it
//!   has made no assumption that only one engine fulfils.
//! * [`contract`] is the suite that it and every real engine pass.
//! * [`Faulty`] wraps any runtime and lets calls and events go wrong, by seed.

pub mod contract;
mod fake;
mod faulty;

pub use fake::{Behaviour, ContainerHandle, FakeImage, FakeRuntime, Program, Write};
pub use faulty::{Fault, FaultPlan, Faulty};
