//! Directories an agent can write, read and written from the host without believing anything in them.
//!
//! Every step is taken from an open directory, follows no link and takes regular files only, so that an agent can
//! neither make the host read or write elsewhere, nor make it wait on a pipe, nor fill its memory.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};

/// An open directory.
#[derive(Debug)]
pub(in crate::agents) struct Dir {
    fd: OwnedFd,
    /// Whose the directory is; what is made in it is theirs too.
    owner: (u32, u32),
}

const DIRECTORY: OFlags =
    OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Dir {
    /// Opens a directory of the host's own.
    pub(in crate::agents) fn open(path: &Path) -> io::Result<Self> {
        Self::of(rustix::fs::open(path, DIRECTORY, Mode::empty())?)
    }

    fn of(fd: OwnedFd) -> io::Result<Self> {
        let stat = rustix::fs::fstat(&fd)?;
        Ok(Self { fd, owner: (stat.st_uid, stat.st_gid) })
    }

    /// A directory in it.
    pub(in crate::agents) fn child(&self, name: &str) -> io::Result<Self> {
        Self::of(rustix::fs::openat(&self.fd, name, DIRECTORY, Mode::empty())?)
    }

    /// A directory in it, made with mode 0700 where it is not there.
    pub(in crate::agents) fn make(&self, name: &str) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return self.child(name),
            Err(error) => return Err(error.into()),
        }
        let fd = rustix::fs::openat(&self.fd, name, DIRECTORY, Mode::empty())?;
        self.give(&fd)?;
        Self::of(fd)
    }

    /// Replaces a file in one step, mode 0600.
    pub(in crate::agents) fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let new = format!(".{name}.new");
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Left over by a process that was killed, or put there by the agent.
        _ = rustix::fs::unlinkat(&self.fd, &new, AtFlags::empty());
        let fd = rustix::fs::openat(&self.fd, &new, flags, Mode::RUSR | Mode::WUSR)?;
        self.give(&fd)?;
        File::from(fd).write_all(content)?;
        Ok(rustix::fs::renameat(&self.fd, &new, &self.fd, name)?)
    }

    /// A regular file; `None` where there is none.
    pub(in crate::agents) fn file(&self, name: &str) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other(format!("{name} is not a regular file")));
        }
        Ok(Some(File::from(fd)))
    }

    /// Removes a file, or a link itself; one that is not there is fine.
    pub(in crate::agents) fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// The content of a small file; `None` where there is none.
    pub(in crate::agents) fn small(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.file(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            return Err(io::Error::other(format!("{name} is longer than {most} bytes")));
        }
        Ok(Some(bytes))
    }

    /// What a file has from an offset on, at most as much as fits; 0 where there is no file or no more of it.
    pub(in crate::agents) fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        match self.file(name)? {
            Some(file) => file.read_at(into, offset),
            None => Ok(0),
        }
    }

    /// Names of the directories in it.
    pub(in crate::agents) fn directories(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let entry = entry?;
            let Ok(name) = OsString::from_vec(entry.file_name().to_bytes().to_vec()).into_string() else {
                continue;
            };
            if entry.file_type() == FileType::Directory && name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn give(&self, fd: &OwnedFd) -> io::Result<()> {
        let stat = rustix::fs::fstat(fd)?;
        if (stat.st_uid, stat.st_gid) != self.owner {
            rustix::fs::fchown(fd, Some(Uid::from_raw(self.owner.0)), Some(Gid::from_raw(self.owner.1)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn links_pipes_and_long_files_are_refused() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        let inside = tempfile::tempdir().unwrap();
        let at = |name: &str| inside.path().join(name);
        symlink(outside.path(), at("link")).unwrap();
        symlink(outside.path().join("secret"), at("file")).unwrap();
        std::fs::write(at("long"), vec![b'x'; 100]).unwrap();
        let dir = Dir::open(inside.path()).unwrap();
        rustix::fs::mknodat(&dir.fd, "pipe", FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();

        assert!(dir.child("link").is_err());
        assert!(dir.make("link").is_err());
        for name in ["file", "pipe"] {
            assert!(dir.file(name).is_err(), "{name}");
            assert!(dir.read_at(name, 0, &mut [0; 10]).is_err(), "{name}");
        }
        assert!(dir.small("long", 99).is_err());
        assert_eq!(dir.small("long", 100).unwrap().unwrap().len(), 100);
        assert_eq!(dir.small("none", 1).unwrap(), None);
    }

    #[test]
    fn writing_replaces_a_link_instead_of_following_it() {
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().join("target");
        std::fs::write(&target, "mine").unwrap();
        let inside = tempfile::tempdir().unwrap();
        for name in ["state", ".state.new"] {
            symlink(&target, inside.path().join(name)).unwrap();
        }
        let dir = Dir::open(inside.path()).unwrap();
        dir.write("state", b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "mine");
        assert_eq!(dir.small("state", 10).unwrap().unwrap(), b"new");
        let mode = std::fs::metadata(inside.path().join("state")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
