//! Podman, through `podman-api` and its libpod API.
