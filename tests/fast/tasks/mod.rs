//! Tasks: their files, their graph, who works on what.

mod fake;
mod files;
mod front;
mod graph;
mod project;
mod schedule;
