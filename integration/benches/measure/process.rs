//! Processes of this machine: signals, and what they use.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;

/// Clock ticks of the kernel in a second, as /proc counts them.
const TICKS: f64 = 100.0;

/// Sends a signal to a process.
pub(crate) fn kill(pid: i32, signal: Signal) -> Result {
    let process = Pid::from_raw(pid).ok_or("no process has the number 0")?;
    Ok(kill_process(process, signal)?)
}

/// Whether a process is there.
pub(crate) fn is_alive(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Processor time a process has used, in seconds.
pub(crate) fn cpu(pid: i32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // After the name, which may hold anything: state is the first field, user and system time are the 12th and 13th.
    let fields = stat.rsplit_once(')').ok_or("no such process")?.1;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
    Ok(ticks.iter().sum::<f64>() / TICKS)
}

/// Memory a process has now, in MB.
pub(crate) fn resident(pid: i32) -> Result<f64> {
    memory(pid, "VmRSS:")
}

/// The most memory a process ever had, in MB.
pub(crate) fn peak(pid: i32) -> Result<f64> {
    memory(pid, "VmHWM:")
}

fn memory(pid: i32, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such process")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1024.0)
}
