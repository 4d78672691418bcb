//! The generic controller: knows no kind.

mod handle;

pub use handle::{Envelope, Handle, HandleError};
