//! Tanuki on real engines: what the tests of this crate share.

pub mod engines;
