//! Names that are wrong, images that are not there, disks that are full.

use std::time::Duration;

use tanuki_integration::command;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{Project, REDIS, binary};
use tokio::process::Command;

on_every_engine!(wrong_names_are_explained, a_missing_image_is_explained, a_full_disk_is_explained);

async fn wrong_names_are_explained(engine: Engine) {
    let project = Project::new(engine, REDIS).await;
    let long = "x".repeat(300);
    for verb in ["start", "stop", "restart", "connect", "logs", "env"] {
        let _told = project.tanuki(&["service", verb, "rediss"]).await.code(2).says("did you mean 'redis'?");
        let told = project.tanuki(&["service", verb, &long]).await.code(2).never_says(&long);
        assert!(told.stderr.len() < 500, "{told}");
    }
    project.configure(&REDIS.replace("  redis:", &format!("  {long}:\n    type: redis")));
    let told = project.tanuki(&["service", "start"]).await.code(2);
    let _told = told.says("tanuki.yaml").never_says("panicked");
    assert!(project.objects().await.containers.is_empty());
}

async fn a_missing_image_is_explained(engine: Engine) {
    let project = Project::new(engine, &REDIS.replace("redis:7", "nowhere:1")).await;
    let told = project.tanuki(&["service", "start"]).await.code(1);
    let _told = told.says("tanuki-test/nowhere:1").says("ImageMissing");

    // A registry that nobody runs.
    project.configure(
        &REDIS.replace("tanuki-test/redis:7", "localhost:9/nowhere:1").replace("never", "missing"),
    );
    let told = project.tanuki(&["service", "start", "--wait-timeout", "60s"]).await;
    assert!([1, 4].contains(&told.code), "{told}");
    let _told = told.says("localhost:9/nowhere:1").never_says("panicked");

    project.configure(REDIS);
    let _started = project.start().await;
}

async fn a_full_disk_is_explained(engine: Engine) {
    let project = Project::new(engine, REDIS).await;
    let state = project.root.join(".tanuki/state");
    std::fs::create_dir_all(&state).unwrap();
    // In a mount namespace of its own, which ends with the command.
    let script = format!(
        "mount -t tmpfs -o size=64k,mode=700 full {state} && head -c 60k /dev/zero >{state}/filler && \
         cd {root} && exec {tanuki} service start",
        state = state.display(),
        root = project.root.display(),
        tanuki = binary().display(),
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", &script]).env_clear().envs(&project.env);
    let told = command::run(unshare, None, Duration::from_secs(60)).await.code(1);
    let full = ["full", "No space left"];
    assert!(full.iter().any(|word| told.stderr.contains(word)), "{told}");
    let _told = told.says("state").never_says("panicked");
    assert!(project.objects().await.containers.is_empty(), "nothing is started that nobody could watch over");
}
