//! The contract suite on every engine of this machine: one test per engine and check.

use tanuki_integration::engines::{Engine, PLAIN_IMAGE, VOLUME_IMAGE};
use tanuki_runtimes::testing::contract::{self, ContractImages};

fn run(engine: Engine, name: &str) -> Result<(), String> {
    let check = contract::all().into_iter().chain(contract::real_only()).find(|check| check.name == name);
    let check = check.ok_or_else(|| format!("no check is called {name}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let adapter = engine.connect().await?;
        let images =
            ContractImages { plain: PLAIN_IMAGE.to_owned(), with_volume: Some(VOLUME_IMAGE.to_owned()) };
        let outcome = check.run(adapter, &images).await;
        outcome.map_err(|broken| format!("on {engine}, {}: {broken}", name.replace('_', " ")))
    })
}

macro_rules! tests {
    (
        common { $($common:ident: $($check:ident),+;)+ }
        real { $($real:ident: $($hard:ident),+;)+ }
    ) => {
        tests!(docker Docker $($($check)+)+ $($($hard)+)+);
        tests!(podman Podman $($($check)+)+ $($($hard)+)+);
        tests!(podman_rootless PodmanRootless $($($check)+)+ $($($hard)+)+);
    };
    ($module:ident $engine:ident $($check:ident)+) => {
        mod $module {
            $(
                #[test]
                fn $check() -> Result<(), String> {
                    super::run(super::Engine::$engine, stringify!($check))
                }
            )+
        }
    };
}

tanuki_runtimes::for_each_contract_check!(tests);
