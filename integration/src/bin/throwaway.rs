//! Runs a shell script in a throw-away container on a network, through testcontainers: `throwaway <network> <script>`.
//!
//! A program of its own because testcontainers takes the engine from `DOCKER_HOST` of its process.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use testcontainers::core::ExecCommand;
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [network, script] = arguments.as_slice() else {
        return Err("usage: throwaway <network> <script>".into());
    };
    let client = GenericImage::new("tanuki-test/plain", "1").with_cmd(["sleep", "120"]).with_network(network);
    let client = client.with_startup_timeout(Duration::from_secs(30)).start().await?;
    let mut ran = client.exec(ExecCommand::new(["bash", "-c", script])).await?;
    let (output, errors) = (ran.stdout_to_vec().await?, ran.stderr_to_vec().await?);
    std::io::stdout().write_all(&output)?;
    std::io::stderr().write_all(&errors)?;
    client.rm().await?;
    Ok(())
}
