//! From an agent's specification to its container: digests for drift, and the engine's own specification.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tanuki_runtimes::{ContainerSpec, Mount, MountSource, NetworkAttachment};

use super::layout::{HOME, Identity, Layout, RUNS, WORKSPACE};
use crate::model::{AgentSpec, LabelKey, Names, ObjectKind};
use crate::services::spec::{Owner, encode_fields};

/// Ends at once when asked to, as process 1 and under an init process; everything else is started by exec.
const IDLE: &str = "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait $!; done";

/// What an agent's container is made from, beside its specification.
#[derive(Debug, Clone)]
pub(super) struct Blueprint<'a> {
    pub(super) spec: &'a AgentSpec,
    pub(super) owner: &'a Owner,
    pub(super) names: &'a Names,
    pub(super) layout: &'a Layout,
    pub(super) identity: Identity,
    /// Directories with the project's objects, which the workspace borrows.
    pub(super) objects: &'a [PathBuf],
    /// Further networks.
    pub(super) join: &'a [String],
}

impl Blueprint<'_> {
    /// Short digests of what the container is made from, by field. Values of variables are not among them: they are
    /// given anew to each process, and a digest of a short secret can be guessed.
    pub(super) fn fields(&self) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        let mut add = |name: &str, digest: String| {
            fields.insert(name.to_owned(), digest);
        };
        add("image", digest(&self.spec.image, 8));
        add("resources", digest(&self.spec.resources, 8));
        add("user", digest(&(self.identity.user(), self.identity.keep_id), 8));
        add("network.name", digest(&self.names.network(), 8));
        add("network.join", digest(&self.join, 8));
        let workspace = self.layout.workspace(&self.spec.name);
        add("mounts", digest(&(workspace, self.layout.state(&self.spec.name), self.objects), 8));
        fields
    }

    /// The agent's container, complete.
    pub(super) fn agent(&self, env: BTreeMap<String, String>, generation: u64) -> ContainerSpec {
        let fields = self.fields();
        let mut labels = self.owner.object_labels(ObjectKind::Agent, &self.spec.name);
        labels.0.insert(LabelKey::SPEC_HASH.into(), digest(&fields, 16));
        labels.0.insert(LabelKey::SPEC_FIELDS.into(), encode_fields(&fields));
        labels.0.insert(LabelKey::GENERATION.into(), generation.to_string());
        // Should the store be lost, the agent is found again as it was.
        if let Ok(spec) = serde_json::to_string(self.spec) {
            labels.0.insert(LabelKey::AGENT_SPEC.into(), spec);
        }
        ContainerSpec {
            name: self.names.agent(&self.spec.name),
            env,
            labels,
            network: Some(NetworkAttachment {
                network: self.names.network(),
                aliases: vec![format!("tanuki-agent-{}", self.spec.name)],
            }),
            ..self.common()
        }
    }

    /// A throw-away container that sees the same workspace, when the agent's own does not run.
    pub(super) fn helper(&self, number: u64) -> ContainerSpec {
        ContainerSpec {
            name: format!("{}-helper-{number}", self.names.agent(&self.spec.name)),
            env: base_env(&self.spec.name),
            labels: self.owner.object_labels(ObjectKind::Helper, &self.spec.name),
            ..self.common()
        }
    }

    fn common(&self) -> ContainerSpec {
        let spec = self.spec;
        let bind = |path: PathBuf, target: &str, relabel_shared| Mount {
            target: target.to_owned(),
            source: MountSource::Bind { path, relabel_shared: Some(relabel_shared) },
            read_only: false,
        };
        let mut mounts = vec![
            bind(self.layout.workspace(&spec.name), WORKSPACE, false),
            bind(self.layout.runs(&spec.name), RUNS, false),
            bind(self.layout.home(&spec.name), HOME, false),
        ];
        mounts.extend(self.objects.iter().map(|path| Mount {
            read_only: true,
            // The same path on both sides: that is what the workspace's list of borrowed objects says.
            ..bind(path.clone(), &path.display().to_string(), true)
        }));
        ContainerSpec {
            image: spec.image.clone(),
            entrypoint: Some(["sh", "-c", IDLE].map(ToOwned::to_owned).to_vec()),
            command: Some(Vec::new()),
            user: Some(self.identity.user()),
            workdir: Some(WORKSPACE.to_owned()),
            mounts,
            memory: spec.resources.memory,
            milli_cpus: spec.resources.milli_cpus,
            pids: spec.resources.pids,
            init: true,
            hardened: true,
            keep_id: self.identity.keep_id,
            ..ContainerSpec::default()
        }
    }
}

/// Variables that every process of an agent has, and that no service can replace.
pub(super) fn base_env(agent: &str) -> BTreeMap<String, String> {
    [("TANUKI_AGENT", agent), ("TANUKI_WORKSPACE", WORKSPACE), ("HOME", HOME)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn digest(value: &impl Serialize, length: usize) -> String {
    // Serialising plain data with string keys cannot fail; an empty text would still only mean one recreation.
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut hex: String = Sha256::digest(json.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(length);
    hex
}
