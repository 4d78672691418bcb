//! Finding the engine that is already there.
