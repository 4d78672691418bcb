//! Commits written straight into a repository's objects, as fast as git can.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::process::{Child, ChildStdin, Stdio};

use crate::Result;
use crate::project::Project;

/// Files in one directory.
const TOGETHER: usize = 100;

/// Commits on `main`.
pub(super) struct Import {
    git: Child,
    stream: BufWriter<ChildStdin>,
}

impl Import {
    /// Begins on an empty repository.
    pub(super) fn begin(project: &Project) -> Result<Self> {
        // What cannot be compressed is not tried to be; whatever comes becomes one pack.
        let settings = ["core.compression=0", "core.bigFileThreshold=1m", "fastimport.unpackLimit=1"];
        let settings: Vec<&str> = settings.iter().flat_map(|setting| ["-c", *setting]).collect();
        let mut command = project.git(&settings);
        let mut git = command.args(["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn()?;
        let stream = BufWriter::new(git.stdin.take().ok_or("git has no standard input")?);
        Ok(Self { git, stream })
    }

    fn commit(&mut self, message: &str) -> Result {
        let who = "committer A Person <person@example.org> 1700000000 +0000";
        write!(self.stream, "commit refs/heads/main\n{who}\ndata {}\n{message}\n", message.len())?;
        Ok(())
    }

    fn file(&mut self, path: &str, length: u64) -> Result {
        write!(self.stream, "M 100644 inline {path}\ndata {length}\n")?;
        Ok(())
    }

    /// A commit with so many files of about a kilobyte, no two the same.
    pub(super) fn small_files(&mut self, files: usize) -> Result {
        self.commit("files")?;
        for number in 0..files {
            let text = format!("This is line one of {number}, and others follow.\n").repeat(20);
            self.file(&format!("src/{}/file-{number}.txt", number / TOGETHER), text.len() as u64)?;
            writeln!(self.stream, "{text}")?;
        }
        Ok(())
    }

    /// Commits that each add so many bytes that cannot be compressed and take the last ones away, and one that leaves
    /// none.
    pub(super) fn history(&mut self, commits: u64, bytes: u64) -> Result {
        let random = File::open("/dev/urandom")?;
        for _ in 0..commits {
            self.commit("large")?;
            self.file("large.bin", bytes)?;
            std::io::copy(&mut (&random).take(bytes), &mut self.stream)?;
            writeln!(self.stream)?;
        }
        self.commit("none")?;
        writeln!(self.stream, "D large.bin")?;
        Ok(())
    }

    /// All of it is there.
    pub(super) fn end(mut self) -> Result {
        self.stream.flush()?;
        drop(self.stream);
        let status = self.git.wait()?;
        if status.success() { Ok(()) } else { Err(format!("git fast-import: {status}").into()) }
    }
}
