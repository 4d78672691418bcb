//! What a process uses, as the kernel counts it.

use std::time::Instant;

use crate::Result;

/// Clock ticks of the kernel in a second, as /proc counts them.
const TICKS: f64 = 100.0;

/// Processor time a process has used so far, in seconds.
fn cpu(pid: u32) -> Result<f64> {
    // The scheduler's own account is finer than ticks; of all threads.
    let mut nanoseconds = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = task?.path().join("schedstat");
        // A thread may end meanwhile.
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        nanoseconds += text.split(' ').next().unwrap_or_default().parse::<f64>()?;
    }
    if nanoseconds > 0.0 {
        return Ok(nanoseconds / 1e9);
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // After the name, which may hold anything: state is the first field, user and system time are the 12th and 13th.
    let fields = stat.rsplit_once(')').ok_or("no such process")?.1;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
    Ok(ticks.iter().sum::<f64>() / TICKS)
}

/// Memory of a process, in MB: now, or at its most.
pub(crate) fn memory(pid: u32, most: bool) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let key = if most { "VmHWM:" } else { "VmRSS:" };
    let line = status.lines().find_map(|line| line.strip_prefix(key)).ok_or("it has no memory")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1024.0)
}

/// Counts the processor time of a process from when this is made.
pub(crate) struct Meter {
    pid: u32,
    before: f64,
    began: Instant,
}

impl Meter {
    /// From now on.
    pub(crate) fn new(pid: u32) -> Result<Self> {
        Ok(Self { pid, before: cpu(pid)?, began: Instant::now() })
    }

    /// Its share of one core since then, in per cent.
    pub(crate) fn share(&self) -> Result<f64> {
        Ok((cpu(self.pid)? - self.before) / self.began.elapsed().as_secs_f64() * 100.0)
    }
}
