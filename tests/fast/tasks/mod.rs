//! Tasks: their files, their graph, who works on what.

mod files;
mod front;
mod graph;
mod schedule;
