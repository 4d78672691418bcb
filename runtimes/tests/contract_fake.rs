//! The contract on the engine in memory: whatever its seed, however much its lists tell, and through the decorator
//! without faults, which must then be invisible.
#![cfg(feature = "testing")]

use std::sync::Arc;

use tanuki_runtimes::ContainerRuntime;
use tanuki_runtimes::testing::contract::{ContractImages, all};
use tanuki_runtimes::testing::{FakeImage, FakeRuntime, FaultPlan, Faulty};

async fn keeps_the_promises(make: impl Fn(FakeRuntime) -> Arc<dyn ContainerRuntime>) {
    let mut broken = Vec::new();
    for (seed, detailed) in [(1, false), (2, true)] {
        for check in all() {
            let engine = FakeRuntime::seeded(seed);
            engine.set_detailed_lists(detailed);
            engine.add_image("plain:1", FakeImage::default());
            let images = ContractImages { plain: "plain:1".to_owned(), with_volume: None };
            if let Err(why) = check.run(make(engine), &images).await {
                broken.push(format!("{} (seed {seed}): {why}", check.name));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test(start_paused = true)]
async fn by_itself() {
    keeps_the_promises(|engine| Arc::new(engine)).await;
}

#[tokio::test(start_paused = true)]
async fn through_the_decorator() {
    keeps_the_promises(|engine| Arc::new(Faulty::new(engine, FaultPlan::none()))).await;
}
