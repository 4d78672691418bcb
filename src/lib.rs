//! Tanuki keeps shared services and coding agents running on the container engine that is already there.
//!
//! This page is the architecture of the project: the map, what holds everywhere, and who may import whom.
//!
//! # How it goes
//!
//! A command becomes a request to the project's **controller**, a background process of the user (or, with
//! `TANUKI_CONTROLLER=inline`, part of the command). The controller **observes** the engine, **plans** with a pure
//! function, **executes** the plan, and **publishes** one immutable [`Snapshot`](model::Snapshot) on a watch channel;
//! commands and the dashboard read snapshots. Nobody else writes.
//!
//! ```text
//!  command ──request──▶ api socket ──▶ Handle ──▶ what is wanted (store) ──wake──▶ loop
//!                                                                                  │
//!   status ◀──snapshot── api socket ◀── watch channel ◀── publish ◀── execute ◀── plan ◀── observe ◀── engine
//! ```
//!
//! # Map
//!
//! | module | what it is | it may import |
//! |---|---|---|
//! | [`model`] | plain data: names, specs, status, plan, requests, snapshot | std and serde only |
//! | [`controller`] | the generic loop, queue, waker, publisher, handle; knows no kind | [`model`] |
//! | [`services`] | the kind Service: observe, plan, probes, environment, execution | [`controller`], [`model`], [`store`], the engine trait |
//! | [`agents`] | the kind Agent: workspaces, containers, environment, runs, adapters, roles, review | [`controller`], [`model`], [`store`], [`git`], [`services`]' published data, the engine trait |
//! | [`tasks`] | the kind Task: files, graph, scheduler (pure), completion, merging | [`controller`], [`model`], [`store`], [`git`] |
//! | [`git`] | git as a subprocess, in the project's repository only | [`model`] |
//! | [`tui`] | the dashboard: state, update and draw | [`model`], [`controller`]'s handle |
//! | [`store`] | SQLite: what the world cannot tell | [`model`] |
//! | [`config`] | `tanuki.yaml`: schema, merge, templates, diagnostics | [`model`] |
//! | [`api`] | the controller's socket: server, clients, lock, launch | [`controller`], [`model`] |
//! | [`cli`] | commands; puts everything together; the only place that prints | everything; imported by nothing |
//! | `tanuki-runtimes` | [`ContainerRuntime`](tanuki_runtimes::ContainerRuntime) over Docker and Podman, discovery, fake, contract | nothing of this crate |
//!
//! `plan.rs`, `backoff.rs` and `health.rs` are pure: no tokio, no clock, no randomness; `now` is an argument. A test
//! (`tests/fast/tidy.rs`) reads the `use` lines and holds this table to them.
//!
//! # What holds everywhere
//!
//! * **The world is the truth.** What exists is read from the engine by label, each pass, in one list. The store only
//!   has what the world cannot tell. Killing the controller at any instruction loses nothing.
//! * **Wakes carry no payload.** An event, a timer, a changed file or a request says *look again at this key*. One
//!   path serves start-up, steady state and recovery. A lost or doubled wake changes nothing but the moment.
//! * **Absence is a fact only after a list that succeeded.** A failed list decides nothing.
//! * **Only what carries this project's labels is touched.** A name taken by anything else is an error that says whose
//!   it is.
//! * **No data is removed without being asked.** Volumes go only with `down --volumes`.
//! * **One writer per project**, held by a lock of the kernel that ends with the process.
//! * **Secrets** are in no label, log, argument list, event or plan; files that may hold them have mode 0600.
//!
//! # What is absent on purpose
//!
//! No restart policies of engines and no health checks of engines: one supervisor acts. No engine type outside its
//! adapter. No state in the dashboard or the commands that the snapshot does not have. No polling where an event can
//! be waited for.

pub mod agents;
pub mod api;
pub mod cli;
pub mod config;
pub mod controller;
pub mod git;
pub mod model;
pub mod services;
pub mod store;
pub mod tasks;
pub mod tui;
