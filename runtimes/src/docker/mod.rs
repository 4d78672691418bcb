//! Docker, through `bollard`.
