//! End-to-end tests: the real binary on Docker, Podman rootful and Podman rootless. One file per area.
//!
//! A test states what a user can rely on afterwards, and waits for it with a limit; it never asserts which calls were
//! made. Repetitions are few by default: `TANUKI_E2E_REPEAT` and the variables named where they are used raise them.
//! A test whose name ends in `_alone` restarts its engine.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends with the first surprise")]

/// Makes one test per engine of each function.
macro_rules! on_every_engine {
    ($($test:ident),+ $(,)?) => {
        on_every_engine!(@ docker Docker $($test)+);
        on_every_engine!(@ podman Podman $($test)+);
        on_every_engine!(@ podman_rootless PodmanRootless $($test)+);
    };
    (@ $module:ident $engine:ident $($test:ident)+) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $test() {
                    Box::pin(super::$test(tanuki_integration::engines::Engine::$engine)).await;
                }
            )+
        }
    };
}

/// The same for the engines that agents are tested on: Docker as root's daemon, Podman without root.
macro_rules! where_agents_run {
    ($($test:ident),+ $(,)?) => {
        on_every_engine!(@ docker Docker $($test)+);
        on_every_engine!(@ podman_rootless PodmanRootless $($test)+);
    };
}

mod adapts;
mod agents;
mod attach;
mod changes;
mod clis;
mod connect;
mod controller;
mod dashboard;
mod errors;
mod faults;
mod hostile;
mod isolation;
mod merging;
mod no_engine;
mod ports;
mod project;
mod reach;
mod recovery;
mod review;
mod runs;
mod secrets;
mod session;
mod start;
mod told;
