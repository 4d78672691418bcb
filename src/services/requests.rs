//! What people ask of services: it only changes what is wanted, and wakes the loop.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::execute::{META_DOWN, META_GENERATION};
use super::kind::{Key, Services};
use crate::controller::Wake;
use crate::model::{Accepted, Desired, Rejected, Request, ServiceSpec};
use crate::store::StoreError;

impl Services {
    /// Takes down what is asked of services.
    ///
    /// # Errors
    ///
    /// The service is unknown, the request makes no sense, or the store failed.
    pub fn request(self: &Arc<Self>, request: &Request) -> Result<Accepted, Rejected> {
        match request {
            Request::ServiceStart { names } => {
                let names = self.resolve(names, |spec| spec.enabled)?;
                self.set_meta(META_DOWN, "")?;
                self.want(&names, Desired::Running, false)
            }
            Request::ServiceStop { names } => {
                let names = self.resolve(names, |spec| spec.external.is_none())?;
                self.want(&names, Desired::Stopped, false)
            }
            Request::ServiceRestart { name } => {
                let names = self.resolve(std::slice::from_ref(name), |_| true)?;
                self.set_meta(META_DOWN, "")?;
                self.want(&names, Desired::Running, true)
            }
            Request::Down { volumes } => self.down(*volumes),
            _ => Err(Rejected::NotPossible { message: "this is not about services".into() }),
        }
    }

    /// The names asked for, or all that `by_default` chooses when none are.
    fn resolve(
        &self,
        names: &[String],
        by_default: impl Fn(&ServiceSpec) -> bool,
    ) -> Result<Vec<String>, Rejected> {
        let memory = self.lock();
        if names.is_empty() {
            let chosen = memory.specs.values().filter(|spec| by_default(spec));
            return Ok(chosen.map(|spec| spec.name.clone()).collect());
        }
        match names.iter().find(|name| !memory.specs.contains_key(*name)) {
            Some(name) => Err(Rejected::UnknownService {
                name: name.clone(),
                known: memory.specs.keys().cloned().collect(),
            }),
            None => Ok(names.to_vec()),
        }
    }

    fn want(&self, names: &[String], desired: Desired, restart: bool) -> Result<Accepted, Rejected> {
        let mut services = BTreeMap::new();
        for name in names {
            self.forget_failure(name);
            let generation =
                self.deps.store.set_desired(name, desired, restart).map_err(|error| failed(&error))?;
            services.insert(name.clone(), generation);
            self.deps.waker.wake(Wake::Urgent(Key::Service(name.clone())));
        }
        Ok(Accepted { services, ..Accepted::default() })
    }

    fn down(&self, volumes: bool) -> Result<Accepted, Rejected> {
        let names: Vec<String> = self.lock().specs.keys().cloned().collect();
        self.set_meta(META_DOWN, if volumes { "volumes" } else { "keep" })?;
        let generation =
            self.project_generation().map_err(|error| Rejected::Failed { message: error.message })? + 1;
        self.set_meta(META_GENERATION, &generation.to_string())?;
        self.set_down(false, generation);
        let accepted = self.want(&names, Desired::Absent, false)?;
        self.deps.waker.wake(Wake::All);
        Ok(Accepted { project: Some(generation), ..accepted })
    }

    fn set_meta(&self, key: &str, value: &str) -> Result<(), Rejected> {
        if self.deps.store.meta(key).map_err(|error| failed(&error))?.unwrap_or_default() == value {
            return Ok(());
        }
        self.deps.store.set_meta(key, value).map_err(|error| failed(&error))
    }
}

fn failed(error: &StoreError) -> Rejected {
    Rejected::Failed { message: error.to_string() }
}
