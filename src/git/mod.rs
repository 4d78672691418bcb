//! Git as a subprocess, in the project's own repository only.
//!
//! No git process of the host ever opens a directory that an agent can write: what leaves a workspace comes through
//! the agent's container, over the transport.
