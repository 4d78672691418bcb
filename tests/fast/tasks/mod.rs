//! Tasks: their files, their graph, who works on what.

mod fake;
mod files;
mod front;
mod graph;
mod people;
mod project;
mod random;
mod schedule;
