//! What only Docker does.

use std::error::Error;
use std::time::Duration;

use tanuki_integration::engines::{Engine, PLAIN_IMAGE};
use tanuki_runtimes::{ContainerSpec, ContainerState, Labels, ListFilter, NetworkAttachment, NetworkSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

type Outcome = Result<(), Box<dyn Error>>;

/// Makes a network without asking for the check for duplicates, as a careless client does; the answer's status.
async fn careless_network(name: &str, labels: &Labels) -> Result<u16, Box<dyn Error>> {
    let body = serde_json::json!({ "Name": name, "Labels": labels.0 }).to_string();
    let mut stream = UnixStream::connect(Engine::Docker.socket()?).await?;
    let request = format!(
        "POST /networks/create HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split(' ').nth(1).unwrap_or_default().parse()?)
}

fn labels(project: &str) -> Labels {
    [(Labels::MANAGED, "true"), (Labels::PROJECT, project)].into_iter().collect()
}

/// Docker before 23 takes two networks of one name, and from then on refuses every call by that name.
#[tokio::test]
async fn networks_of_one_name_are_told_apart() -> Outcome {
    let docker = Engine::Docker.connect().await?;
    let name = format!("tnk-twins-{}", std::process::id());
    let (first, second) =
        (careless_network(&name, &labels(&name)).await?, careless_network(&name, &labels(&name)).await?);
    assert_eq!(first, 201);
    let spec = NetworkSpec { name: name.clone(), labels: labels(&name) };
    let container = ContainerSpec {
        name: name.clone(),
        image: PLAIN_IMAGE.to_owned(),
        command: Some(vec!["sleep".to_owned(), "infinity".to_owned()]),
        labels: labels(&name),
        network: Some(NetworkAttachment { network: name.clone(), aliases: vec!["twin".to_owned()] }),
        ..ContainerSpec::default()
    };
    let tried = async {
        let (one, two) = (docker.ensure_network(&spec).await?, docker.ensure_network(&spec).await?);
        assert_eq!(one, two);
        let id = docker.create(&container).await?;
        docker.start(&id).await?;
        let found = docker.inspect(&id).await?;
        assert_eq!((found.state, found.networks), (ContainerState::Running, vec![name.clone()]));
        docker.stop(&id, Duration::ZERO).await?;
        docker.remove(&id).await
    }
    .await;
    docker.remove(&name).await?;
    docker.remove_network(&name).await?;
    tried?;
    let filter = ListFilter { labels: labels(&name), networks_and_volumes: true };
    let left = docker.list(&filter).await?;
    assert!(left.networks.is_empty(), "with the second answer {second}: {left:?}");
    Ok(())
}
