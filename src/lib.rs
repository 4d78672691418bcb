//! Tanuki: several coding agents on one repository, each in its own container, with shared services that stay healthy.

pub mod api;
pub mod cli;
pub mod config;
pub mod controller;
pub mod model;
pub mod services;
pub mod store;
