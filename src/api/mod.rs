//! The controller's Unix socket: the server, its clients, the single-writer lock, and starting a controller.
//!
//! The socket is private to the user (directory 0700, socket 0600). Both sides speak plain data from
//! [`model`](crate::model) only.

mod client;
mod launch;
mod lock;
mod query;
mod server;
pub mod socket;

pub use client::{Client, ClientError};
pub use launch::{LOCKED, Launch, LaunchError, READY, announce, connect_or_start};
pub use lock::{Lock, LockHolder};
pub use server::{Clients, Server};
