//! Host ports: which one a service is published on, remembered across projects of this user.
//!
//! A port is the service's as long as its lease stands, so that it keeps its number when it is stopped. A lease of a
//! project whose directory is gone is free for others.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::table;
use crate::model::{HostPort, ProjectId};

/// Why there is no port.
#[derive(Debug, Error)]
pub enum PortError {
    /// The fixed port is in use.
    #[error("port {port} on 127.0.0.1 is in use by {holder}")]
    Taken {
        /// The port.
        port: u16,
        /// Who has it, as far as can be told.
        holder: String,
    },
    /// Every port from the wanted one up is in use.
    #[error("no port from {from} up is free on 127.0.0.1")]
    NoneFree {
        /// Where the search began.
        from: u16,
    },
    /// The table of leases cannot be read or written.
    #[error("cannot use the port leases in {path}: {source}")]
    Table {
        /// The table.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Who wants a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// The project.
    pub project: ProjectId,
    /// The project's directory.
    pub path: String,
    /// The service.
    pub service: String,
    /// The port inside its container.
    pub container_port: u16,
}

/// Gives out host ports.
pub trait PortBook: Debug + Send + Sync {
    /// The host port for `claimant`: the fixed one, the one it had, the same number as inside, or the next free one.
    /// Ports in `avoid` are known to be in use whatever it looks like from here. `None` when it is not published.
    ///
    /// # Errors
    ///
    /// The fixed port is in use, or nothing is free.
    fn assign(&self, claimant: &Claimant, wanted: HostPort, avoid: &[u16]) -> Result<Option<u16>, PortError>;
}

/// The table of this user's leases, in one file under a lock.
#[derive(Debug, Clone)]
pub struct LeaseFile {
    path: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    project: ProjectId,
    path: String,
    service: String,
    container_port: u16,
}

impl LeaseFile {
    /// The table in `directory`, which is made (mode 0700) when it is not there.
    pub fn new(directory: &Path) -> Self {
        Self { path: directory.join("ports.json") }
    }
}

impl PortBook for LeaseFile {
    fn assign(&self, claimant: &Claimant, wanted: HostPort, avoid: &[u16]) -> Result<Option<u16>, PortError> {
        let wanted_port = match wanted {
            HostPort::None => return Ok(None),
            HostPort::Fixed(port) => Some(port),
            HostPort::Auto => None,
        };
        let assigned = table::update(&self.path, |leases: &mut BTreeMap<u16, Lease>| {
            leases.retain(|_, lease| lease.project == claimant.project || Path::new(&lease.path).exists());
            let own = |lease: &Lease| {
                lease.project == claimant.project
                    && lease.service == claimant.service
                    && lease.container_port == claimant.container_port
            };
            let leased_to_other =
                |leases: &BTreeMap<u16, Lease>, port: u16| leases.get(&port).is_some_and(|lease| !own(lease));
            let port = if let Some(port) = wanted_port {
                if avoid.contains(&port) || !is_free(port) {
                    return Err(PortError::Taken { port, holder: holder(port) });
                }
                port
            } else {
                let had = leases.iter().find(|(_, lease)| own(lease)).map(|(port, _)| *port);
                let from = claimant.container_port.max(1024);
                had.into_iter()
                    .chain(from..=u16::MAX)
                    .find(|port| !avoid.contains(port) && !leased_to_other(leases, *port) && is_free(*port))
                    .ok_or(PortError::NoneFree { from })?
            };
            leases.retain(|_, lease| !own(lease));
            leases.insert(
                port,
                Lease {
                    project: claimant.project.clone(),
                    path: claimant.path.clone(),
                    service: claimant.service.clone(),
                    container_port: claimant.container_port,
                },
            );
            Ok(Some(port))
        });
        assigned.map_err(|source| PortError::Table { path: self.path.display().to_string(), source })?
    }
}

/// Whether nothing listens on this loopback port now. Binding all addresses would also be refused by a listener on
/// another address, which is no obstacle here, so only loopback is tried.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Which process listens on a port, for people.
pub fn holder(port: u16) -> String {
    listeners::get_process_by_port(port, listeners::Protocol::TCP).map_or_else(
        |_untold| "another process (which one could not be told)".to_owned(),
        |process| format!("{} (pid {})", process.name, process.pid),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimant(project: &str, path: &Path, service: &str, port: u16) -> Claimant {
        Claimant {
            project: ProjectId(project.into()),
            path: path.display().to_string(),
            service: service.into(),
            container_port: port,
        }
    }

    #[test]
    fn a_busy_port_moves_on_and_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let book = LeaseFile::new(dir.path());
        let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = busy.local_addr().unwrap().port();
        let claimant = claimant("a", dir.path(), "pg", port);
        let first = book.assign(&claimant, HostPort::Auto, &[]).unwrap().unwrap();
        assert_ne!(first, port);
        drop(busy);
        assert_eq!(book.assign(&claimant, HostPort::Auto, &[]).unwrap(), Some(first));
        assert_ne!(book.assign(&claimant, HostPort::Auto, &[first]).unwrap(), Some(first));
    }

    #[test]
    fn projects_do_not_share_a_port_unless_one_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let book = LeaseFile::new(dir.path());
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let first =
            book.assign(&claimant("a", other.path(), "pg", free), HostPort::Auto, &[]).unwrap().unwrap();
        let second = claimant("b", dir.path(), "pg", free);
        assert_ne!(book.assign(&second, HostPort::Auto, &[]).unwrap(), Some(first));
        other.close().unwrap();
        let third = claimant("c", dir.path(), "pg", first);
        assert_eq!(book.assign(&third, HostPort::Auto, &[]).unwrap(), Some(first));
    }

    #[test]
    fn a_fixed_port_in_use_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = busy.local_addr().unwrap().port();
        let error = LeaseFile::new(dir.path())
            .assign(&claimant("a", dir.path(), "pg", port), HostPort::Fixed(port), &[])
            .unwrap_err();
        assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
    }
}
