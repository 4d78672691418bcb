//! The dashboard: whole screens, and what holds for any of them.

mod properties;
mod scene;
mod screens;
mod sizes;
