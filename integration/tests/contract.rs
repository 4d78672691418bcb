//! The contract suite on every engine of this machine: one test per engine and check.

use tanuki_integration::engines::{Engine, PLAIN_IMAGE};
use tanuki_runtimes::testing::contract::{self, ContractImages};

fn run(engine: Engine, name: &str) {
    let check = contract::all().into_iter().chain(contract::real_only()).find(|check| check.name == name);
    let check = check.unwrap_or_else(|| panic!("no check is called {name}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(async {
        let adapter = engine.connect().await.unwrap_or_else(|error| panic!("{error}"));
        check.run(adapter, &ContractImages { plain: PLAIN_IMAGE.to_owned() }).await
    });
    if let Err(broken) = outcome {
        panic!("on {engine}, {}: {broken}", name.replace('_', " "));
    }
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
                fn $check() {
                    super::run(super::Engine::$engine, stringify!($check));
                }
            )+
        }
    };
}

tanuki_runtimes::for_each_contract_check!(tests);
