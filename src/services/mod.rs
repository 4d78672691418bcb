//! The kind Service.
pub mod backoff;
pub mod env;
pub mod health;
pub mod observe;
pub mod plan;
pub mod probe;
pub mod spec;
