//! Where many agents' branches are, in few git processes.

use std::collections::{BTreeMap, BTreeSet};

use super::{GitError, Repository};

/// Since when git counts ahead and behind for many references at once.
const COUNTS: (u32, u32) = (2, 41);

/// Where a branch is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Its newest commit; absent where there is no such branch.
    pub commit: Option<String>,
    /// Commits that its base does not have; absent where one of the two is not there.
    pub ahead: Option<u32>,
    /// Commits of its base that it does not have.
    pub behind: Option<u32>,
}

impl Repository {
    /// Where these branches are, each against its base (a full reference or a commit id), in the order asked.
    ///
    /// # Errors
    ///
    /// Git failed.
    pub async fn heads(&self, asked: &[(String, String)]) -> Result<Vec<Head>, GitError> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let names: BTreeSet<String> =
            asked.iter().flat_map(|(branch, base)| [full(branch), base.clone()]).collect();
        let known = self.known(&names).await?;
        let commit_of = |name: &str| match known.get(name) {
            Some(commit) => Some(commit.clone()),
            None => is_id(name).then(|| name.to_owned()),
        };
        let mut pairs = BTreeSet::new();
        for (branch, base) in asked {
            if let (Some(head), Some(base)) = (known.get(&full(branch)), commit_of(base)) {
                pairs.insert((full(branch), head.clone(), base));
            }
        }
        let counts = if self.has(COUNTS) { self.count_together(&pairs).await? } else { None };
        let counts = match counts {
            Some(counts) => counts,
            None => self.count_each(&pairs).await?,
        };
        Ok(asked
            .iter()
            .map(|(branch, base)| {
                let commit = known.get(&full(branch)).cloned();
                let key = commit.clone().zip(commit_of(base));
                let count = key.and_then(|key| counts.get(&key));
                Head { commit, ahead: count.map(|count| count.0), behind: count.map(|count| count.1) }
            })
            .collect())
    }

    async fn known(&self, names: &BTreeSet<String>) -> Result<BTreeMap<String, String>, GitError> {
        let references = names.iter().filter(|name| name.starts_with("refs/"));
        let text =
            self.git("for-each-ref").arg("--format=%(refname) %(objectname)").args(references).text().await?;
        let split = |line: &str| line.split_once(' ').map(|(name, id)| (name.to_owned(), id.to_owned()));
        Ok(text.lines().filter_map(split).collect())
    }

    /// One process for all. `None` where one of the commits is gone, which spoils it for the others.
    async fn count_together(&self, pairs: &Pairs) -> Result<Option<Counts>, GitError> {
        let bases: BTreeSet<&str> = pairs.iter().map(|(_, _, base)| base.as_str()).collect();
        if bases.is_empty() {
            return Ok(Some(Counts::new()));
        }
        let columns: String = bases.iter().map(|base| format!("%00%(ahead-behind:{base})")).collect();
        let output = self
            .git("for-each-ref")
            .arg(format!("--format=%(refname)%00%(objectname){columns}"))
            .args(pairs.iter().map(|(reference, ..)| reference))
            .output()
            .await?;
        if output.code != 0 {
            return Ok(None);
        }
        let mut counts = Counts::new();
        for line in output.text().lines() {
            let mut fields = line.split('\0');
            let (_name, Some(head)) = (fields.next(), fields.next()) else { continue };
            for (base, field) in bases.iter().zip(fields) {
                counts.extend(parse(field).map(|count| ((head.to_owned(), (*base).to_owned()), count)));
            }
        }
        Ok(Some(counts))
    }

    async fn count_each(&self, pairs: &Pairs) -> Result<Counts, GitError> {
        let mut counts = Counts::new();
        for (_, head, base) in pairs {
            let output = self
                .plain("rev-list")
                .args(["--left-right", "--count", &format!("{head}...{base}"), "--"])
                .output()
                .await?;
            if output.code == 0 {
                counts.extend(parse(&output.text()).map(|count| ((head.clone(), base.clone()), count)));
            }
        }
        Ok(counts)
    }
}

/// Reference, its commit, and the base's.
type Pairs = BTreeSet<(String, String, String)>;

/// Ahead and behind by commit and base.
type Counts = BTreeMap<(String, String), (u32, u32)>;

fn parse(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_ascii_whitespace().map_while(|word| word.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

fn full(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

fn is_id(name: &str) -> bool {
    name.len() >= 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
