//! The dashboard: consumes a watch channel of snapshots, sends requests through the controller's handle.
