//! The contract suite: every promise of the trait, as a check that any engine must pass.
//!
//! [`all`] needs nothing but an engine and its few commands (`sleep`, `echo`, `cat`, `env`, `pwd`, `true`, `false`);
//! the in-memory engine passes it. [`real_only`] needs real processes and a shell besides.
//!
//! # Guarantees
//!
//! * A check touches only what it made; names are unique, so checks may run at the same time on one engine.
//! * What a check made is removed when it ends, also when it failed or panicked, at the latest after
//!   [`Check::LIMIT`].
//! * The message of a failed check says which promise does not hold.

mod containers;
mod exec;
mod lab;
mod objects;
mod real_exec;
mod real_logs;
mod real_processes;
mod real_setup;
mod streams;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::time::timeout;

use crate::ContainerRuntime;
use lab::Lab;

/// The images that the checks use, present on the engine.
#[derive(Debug, Clone)]
pub struct ContractImages {
    /// One with the programs named above and, for [`real_only`], a POSIX shell and the usual tools; no entrypoint.
    pub plain: String,
    /// One that declares a volume, and has the programs too. Without it the check of anonymous volumes holds.
    pub with_volume: Option<String>,
}

/// A promise that does not hold, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

impl From<crate::Error> for Broken {
    fn from(error: crate::Error) -> Self {
        Self(format!("{error} [{:?}]", error.kind))
    }
}

/// What a check ends with.
pub type Outcome = Result<(), Broken>;

/// One check of the suite.
#[derive(Clone, Copy)]
pub struct Check {
    /// Its name: what holds.
    pub name: &'static str,
    body: for<'a> fn(&'a Lab) -> LocalBoxFuture<'a, Outcome>,
}

impl Check {
    /// How long a check may take.
    pub const LIMIT: Duration = Duration::from_secs(90);

    /// Runs the check and removes what it made. To be awaited where it was called: the future is not `Send`.
    pub async fn run(&self, runtime: Arc<dyn ContainerRuntime>, images: &ContractImages) -> Outcome {
        let lab = Lab::new(runtime, images.clone());
        let body = AssertUnwindSafe(timeout(Self::LIMIT, (self.body)(&lab))).catch_unwind().await;
        let cleaned = lab.clean_up().await;
        match body {
            Ok(Ok(outcome)) => outcome.and(cleaned),
            Ok(Err(_elapsed)) => Err(Broken(format!("not done after {} s", Self::LIMIT.as_secs()))),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                Err(Broken(format!("panicked: {}", text.unwrap_or_default())))
            }
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

/// Hands the names of all checks to the macro `$then`, as `common { module: name, …; } real { module: name, …; }`;
/// for test binaries that want one test per check.
#[macro_export]
macro_rules! for_each_contract_check {
    ($then:ident) => {
        $then! {
            common {
                containers:
                    a_container_goes_through_its_states,
                    starting_a_running_one_is_done,
                    stopping_a_stopped_one_is_done,
                    removing_an_absent_one_is_done,
                    removing_kills_first,
                    a_stopped_one_starts_again,
                    a_taken_name_tells_its_holder,
                    a_missing_image_is_told,
                    a_missing_network_is_told,
                    a_missing_volume_is_told,
                    absent_ones_are_not_found,
                    ids_do_not_come_back,
                    exit_codes_are_told,
                    killing_ends_it,
                    killing_a_stopped_one_is_a_conflict,
                    ports_are_published_while_it_runs,
                    a_taken_port_is_told_and_start_works_once_it_is_free;
                objects:
                    the_engine_tells_of_itself,
                    images_are_told_without_a_registry,
                    ensuring_a_network_twice_makes_one,
                    ensuring_a_network_at_once_makes_one,
                    a_foreign_network_is_refused,
                    a_network_in_use_stays,
                    a_container_enters_a_further_network,
                    removing_an_absent_network_is_done,
                    ensuring_a_volume_twice_makes_one,
                    a_foreign_volume_is_refused,
                    a_volume_in_use_stays,
                    a_named_volume_survives_its_container,
                    removing_an_absent_volume_is_done,
                    lists_hold_what_carries_the_labels,
                    lists_leave_networks_out_unless_asked;
                exec:
                    output_and_code_are_collected,
                    a_missing_program_has_a_code,
                    input_is_read,
                    environment_and_directory_are_set,
                    a_stopped_container_runs_nothing,
                    patience_ends,
                    an_interactive_command_talks,
                    a_probe_ends_well;
                streams:
                    a_log_has_its_lines,
                    a_log_keeps_what_was_written_before,
                    a_followed_log_ends_with_the_container,
                    events_tell_a_life,
                    events_of_others_are_not_told,
                    events_since_then_are_told_again;
            }
            real {
                real_processes:
                    a_stop_waits_for_the_process,
                    a_stop_kills_after_its_grace,
                    the_stop_signal_can_be_chosen,
                    hardened_ones_have_no_capabilities,
                    an_init_process_is_in_front,
                    limits_are_seen_inside,
                    user_and_directory_are_set,
                    environment_and_entrypoint_are_set,
                    a_command_that_cannot_be_run_is_told;
                real_setup:
                    a_tmpfs_is_empty_and_bounded,
                    shared_memory_has_its_size,
                    volume_data_outlives_the_container,
                    anonymous_volumes_go_with_the_container,
                    a_bind_mount_shows_the_host,
                    a_read_only_mount_refuses_writes,
                    a_missing_bind_source_is_an_error,
                    a_published_port_answers,
                    aliases_resolve,
                    an_unreachable_registry_is_told;
                real_logs:
                    streams_are_told_apart_in_order,
                    a_tail_is_the_end,
                    since_leaves_out_what_was_before,
                    lines_are_told_while_they_are_written,
                    a_last_line_need_not_end,
                    a_huge_line_comes_in_pieces,
                    a_log_of_a_dead_container_is_kept;
                real_exec:
                    a_user_can_be_chosen,
                    much_input_is_read,
                    much_output_is_cut,
                    output_is_told_apart,
                    a_terminal_has_its_size,
                    a_terminal_passes_every_byte,
                    end_of_input_reaches_the_command,
                    an_interactive_code_is_told,
                    a_failing_probe_tells_why,
                    a_hanging_probe_times_out,
                    probes_do_not_pile_up;
            }
        }
    };
}

macro_rules! lists {
    (
        common { $($common:ident: $($check:ident),+;)+ }
        real { $($real:ident: $($hard:ident),+;)+ }
    ) => {
        /// Every check that an engine passes, whether its processes are real or not.
        pub fn all() -> Vec<Check> {
            vec![$($(Check { name: stringify!($check), body: |lab| Box::pin($common::$check(lab)) }),+),+]
        }

        /// The checks that need real processes.
        pub fn real_only() -> Vec<Check> {
            vec![$($(Check { name: stringify!($hard), body: |lab| Box::pin($real::$hard(lab)) }),+),+]
        }
    };
}

for_each_contract_check!(lists);

/// Ends the check with the words unless the condition holds.
macro_rules! holds {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err($crate::testing::contract::Broken(format!($($words)+)));
        }
    };
}

/// Ends the check with the words unless the call failed with this kind of error; is that error.
macro_rules! fails {
    ($call:expr, $kind:pat, $($words:tt)+) => {
        match $call {
            Ok(_) => return Err($crate::testing::contract::Broken(format!("no error: {}", format!($($words)+)))),
            Err(error) => {
                if !matches!(error.kind, $kind) {
                    let words = format!($($words)+);
                    let text = format!("{words}: {error} is {:?}", error.kind);
                    return Err($crate::testing::contract::Broken(text));
                }
                error
            }
        }
    };
}

use {fails, holds};
