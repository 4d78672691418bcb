//! What belongs to somebody else is left alone; what was taken away by hand is put back.

use std::time::Duration;

use tanuki_integration::engines::Engine;
use tanuki_integration::project::{POSTGRES, Project, REDIS, is_healthy};

on_every_engine!(
    foreign_objects_are_untouched,
    what_is_removed_by_hand_comes_back,
    an_untagged_image_is_explained,
    two_projects_share_an_engine,
);

/// Longer than everything is looked at again: Podman 4 tells nobody that a network is gone, and loses an event now and then.
const SOON: Duration = Duration::from_secs(60);

async fn foreign_objects_are_untouched(engine: Engine) {
    let project = Project::new(engine, REDIS).await;
    // Which names it wants depends on which other projects there are.
    let _started = project.start().await;
    let container = project.container("redis").await.name;
    let _down = project.tanuki(&["down", "--volumes", "--yes"]).await.ok();

    // A container that nobody labelled: the error says so.
    let foreign = create(&project, &container, &[]).await;
    let told = project.tanuki(&["service", "start"]).await.code(1);
    let _told = told.says(&container).says("Tanuki did not make");
    let _shown = project.tanuki(&["service", "status"]).await.ok().says("Tanuki did not make");
    assert_eq!(project.runtime.inspect(&foreign).await.unwrap().name, container);
    project.runtime.remove(&foreign).await.unwrap();
    let _started = project.start().await;
    let _down = project.tanuki(&["down", "--volumes", "--yes"]).await.ok();

    // One of another project: named, or gone round by choosing other names.
    let labels = ["dev.tanuki.managed=true", "dev.tanuki.project=0000000000ff"];
    let labels = [labels[0], labels[1], "dev.tanuki.project-path=/somewhere/else"];
    let foreign = create(&project, &container, &labels).await;
    let started = project.tanuki(&["service", "start"]).await;
    if started.code == 0 {
        assert_ne!(project.container("redis").await.name, container);
    } else {
        let _told = started.code(1).says(&container).says("/somewhere/else");
    }
    let _down = project.tanuki(&["down", "--volumes", "--yes"]).await.ok();
    assert_eq!(project.runtime.inspect(&foreign).await.unwrap().name, container);
    project.runtime.remove(&foreign).await.unwrap();

    // From here on the names that it has now.
    let mine = project.foreign_label();
    let _started = project.start().await;
    let there = project.objects().await;
    let (network, volume) = (there.networks[0].name.clone(), there.volumes[0].name.clone());
    let _down = project.tanuki(&["down", "--volumes", "--yes"]).await.ok();

    let _made = project.engine_cli(&["network", "create", "--label", &mine, &network]).await.ok();
    let _told =
        project.tanuki(&["service", "start"]).await.code(1).says(&network).says("Tanuki did not make");
    let _down = project.tanuki(&["down", "--volumes", "--yes"]).await.ok();
    let _still_there = project.engine_cli(&["network", "inspect", &network]).await.ok();
    project.runtime.remove_network(&network).await.unwrap();

    let _made = project.engine_cli(&["volume", "create", "--label", &mine, &volume]).await.ok();
    let _told = project.tanuki(&["service", "start"]).await.code(1).says(&volume).says("Tanuki did not make");
    let _down = project.tanuki(&["down", "--volumes", "--yes"]).await.ok();
    let _still_there = project.engine_cli(&["volume", "inspect", &volume]).await.ok();
    project.runtime.remove_volume(&volume).await.unwrap();
    let _started = project.start().await;
}

/// Makes a container past the program, and returns its id.
async fn create(project: &Project, name: &str, labels: &[&str]) -> String {
    let mine = project.foreign_label();
    let mut args = vec!["create", "--name", name, "--label", &mine];
    args.extend(labels.iter().flat_map(|label| ["--label", *label]));
    args.extend(["tanuki-test/plain:1", "sleep", "1000"]);
    project.engine_cli(&args).await.ok().stdout.trim().to_owned()
}

async fn what_is_removed_by_hand_comes_back(engine: Engine) {
    let project = Project::new(engine, POSTGRES).await;
    let _started = project.start().await;
    let _none = project.sql("create table kept (n int); insert into kept values (1)").await;

    let before = project.service("postgres").await;
    let _removed = project.engine_cli(&["rm", "--force", before["container"].as_str().unwrap()]).await.ok();
    let after = project.until_restarted("postgres", &before, SOON).await;
    assert_ne!(before["container_id"], after["container_id"]);
    assert_eq!(before["host_port"], after["host_port"], "the port stays: {after:#}");
    assert_eq!(project.sql("select n from kept").await, "1");

    let container = after["container"].as_str().unwrap();
    let network = project.objects().await.networks[0].name.clone();
    let _cut = project.engine_cli(&["network", "disconnect", "--force", &network, container]).await.ok();
    let _removed = project.engine_cli(&["network", "rm", &network]).await.ok();
    let deadline = tokio::time::Instant::now() + SOON;
    while !project.objects().await.networks.iter().any(|there| there.name == network)
        || !is_healthy(&project.service("postgres").await)
    {
        assert!(tokio::time::Instant::now() < deadline, "{:#?}", project.objects().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let repaired = project.container("postgres").await;
    assert_eq!(repaired.networks, [network], "{repaired:#?}");
    assert_eq!(project.sql("select n from kept").await, "1");
}

async fn an_untagged_image_is_explained(engine: Engine) {
    let project = Project::empty(engine).await;
    let name = project.base().file_name().unwrap().to_string_lossy().to_lowercase();
    let alias = format!("localhost/{name}:1");
    let _tagged = project.engine_cli(&["tag", "tanuki-test/redis:7", &alias]).await.ok();
    project.configure(&REDIS.replace("tanuki-test/redis:7", &alias));
    let _started = project.start().await;
    let untag: &[&str] =
        if engine == Engine::Docker { &["rmi", "--force", &alias] } else { &["untag", &alias, &alias] };
    let _untagged = project.engine_cli(untag).await.ok();

    // What runs goes on, and its container can be started again.
    let before = project.service("redis").await;
    assert!(is_healthy(&before), "{before:#}");
    project.kill_main_process("redis").await;
    let after = project.until_restarted("redis", &before, SOON).await;
    // A new one cannot be made.
    let _removed = project.engine_cli(&["rm", "--force", after["container"].as_str().unwrap()]).await.ok();
    let failed = project.until("redis", "explained", SOON, |status| status["state"] == "failed").await;
    assert_eq!(failed["reason"], "ImageMissing", "{failed:#}");
    assert!(failed["message"].as_str().unwrap().contains(&alias), "{failed:#}");
    let _told = project.tanuki(&["service", "start"]).await.code(1).says(&alias);

    let _tagged = project.engine_cli(&["tag", "tanuki-test/redis:7", &alias]).await.ok();
    let _started = project.start().await;
    let _down = project.tanuki(&["down"]).await.ok();
    let _untagged = project.engine_cli(untag).await.ok();
}

async fn two_projects_share_an_engine(engine: Engine) {
    let (one, other) = (Project::new(engine, POSTGRES).await, Project::new(engine, POSTGRES).await);
    let (_one, _other) = tokio::join!(one.start(), other.start());
    let _none = one.sql("create table mine (text text); insert into mine values ('one')").await;
    let _none = other.sql("create table mine (text text); insert into mine values ('other')").await;
    assert_eq!(one.sql("select text from mine").await, "one");
    assert_eq!(other.sql("select text from mine").await, "other");

    let (first, second) = (one.service("postgres").await, other.service("postgres").await);
    for field in ["container", "container_id", "host_port"] {
        assert_ne!(first[field], second[field], "{field}: {first:#} {second:#}");
    }
    // Agents see the same names in each.
    assert_eq!(first["host"], "tanuki-svc-postgres");
    assert_eq!(second["host"], "tanuki-svc-postgres");
    for (project, status) in [(&one, &first), (&other, &second)] {
        let (port, container) = (status["host_port"].to_string(), status["container"].as_str().unwrap());
        let shown = if port == "5432" { port } else { format!("{port}->5432") };
        let _shown = project.tanuki(&["service", "status", "--wide"]).await.ok().says(&shown).says(container);
    }
    let _down = one.tanuki(&["down", "--volumes", "--yes"]).await.ok();
    assert_eq!(other.sql("select text from mine").await, "other");
}
