#!/usr/bin/env bash
# The demo, the tests, the benchmarks: each needs nothing done before on a Debian machine with Rust.
# `run.sh help` tells what they do.
#
# Engines that already answer are used and left as they are; those started here are stopped at the end.
set -euo pipefail

HERE=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
TOP=$(dirname "$HERE")
SELF=$HERE/$(basename "${BASH_SOURCE[0]}")
ENGINES=(docker podman podman-rootless)
# Pinned so that a release of nextest cannot change what a commit's tests say.
NEXTEST=0.9.143
# What the dashboard is measured against, pinned for the same reason.
OXKER=0.13.4
# Container and network of hold_names.
NAMES=tanuki-test-names
# The engines to stop at the end.
STARTED=()
# What a command wants done at the end, before its engines are stopped.
AT_END=()

usage() {
    cat <<'USAGE'
usage: run.sh demo [docker|podman|podman-rootless]
                                 a sample project: start, connect, kill, recover, clean up (an engine that runs
                                 already, or else docker)
       run.sh test [arguments]   all tests: fast ones, documentation, then every engine; arguments go to the last
                                 `cargo nextest run`, for example: run.sh test -E 'test(/contract/)'
       run.sh bench [name...]    measures against docker, docker compose and git; the tables are in target/bench
       run.sh bench dashboard [name...]
                                 the dashboard alone, against docker logs and oxker; its table is dashboard.md there
       run.sh trixie             contract and sample session on newer engines, nested in a container

TANUKI_KEEP_ENGINES=1            leaves the engines running that were started here
TANUKI_TEST_OFFICIAL=1           the official postgres and redis images, where a registry can be reached
USAGE
}

say() { printf '%s: %s\n' "$(basename "$SELF")" "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# Engines are root's business, and so are the sockets of those that are started here: an ordinary user goes on as root.
become_root() {
    [ "$(id -u)" -ne 0 ] || return 0
    command -v sudo >/dev/null || die "this needs root, to set up engines (there is no sudo)"
    say "setting up engines needs root; going on with sudo"
    exec sudo env HOME="$HOME" PATH="$PATH" ${CARGO_HOME:+CARGO_HOME="$CARGO_HOME"} \
        ${RUSTUP_HOME:+RUSTUP_HOME="$RUSTUP_HOME"} ${CARGO_TARGET_DIR:+CARGO_TARGET_DIR="$CARGO_TARGET_DIR"} \
        ${CI:+CI="$CI"} ${TANUKI_KEEP_ENGINES:+TANUKI_KEEP_ENGINES="$TANUKI_KEEP_ENGINES"} \
        ${TANUKI_TEST_OFFICIAL:+TANUKI_TEST_OFFICIAL="$TANUKI_TEST_OFFICIAL"} "$SELF" "$@"
}

# Runs at every end, also after Ctrl-C. Says nothing when all is well: the last words are the command's own.
finish() {
    local code=$? step log
    trap - EXIT INT TERM HUP
    set +e
    # Something may still be starting an engine: what it starts is ours to stop.
    wait
    for step in "${AT_END[@]}"; do "$step"; done
    if [ "${#STARTED[@]}" -gt 0 ] && [ "${TANUKI_KEEP_ENGINES:-0}" != 1 ]; then
        log=$("$HERE/engines.sh" down "${STARTED[@]}" 2>&1) || printf '%s\n' "$log" >&2
    fi
    # Built as root on behalf of somebody: theirs.
    if [ -n "${SUDO_UID:-}" ] && [ -d "$(target)" ]; then chown -R "$SUDO_UID:${SUDO_GID:-0}" "$(target)"; fi
    exit "$code"
}

target() { realpath -m "${CARGO_TARGET_DIR:-$TOP/target}"; }

# need <command:package>...: installs the packages whose commands are not there.
need() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "please install: ${missing[*]}"
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || die "apt-get update failed"
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || die "cannot install ${missing[*]}"
}

need_rust() {
    command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    command -v cargo >/dev/null || die "there is no cargo; install Rust first (https://rustup.rs)"
}

need_nextest() {
    ! cargo nextest --version >/dev/null 2>&1 || return 0
    say "installing cargo-nextest $NEXTEST (minutes, once)"
    # Optimised little, because it only waits for tests; without the part that updates itself, which is half of it.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_TARGET_DIR=$(target)/nextest cargo install --quiet --locked \
        --version "$NEXTEST" --no-default-features --features default-no-update cargo-nextest </dev/null
    rm -rf "$(target)/nextest"
}

answers() { "$HERE/engines.sh" status "$1" | awk '$2 == "running" { found = 1 } END { exit !found }'; }

# Remembers which engines are ours to stop. Apart from `up`, because that may run in the background.
claim() {
    local engine
    for engine in "$@"; do
        answers "$engine" || STARTED+=("$engine")
    done
}

# What runs while cargo builds: both wait for other things.
set_up() {
    "$HERE/engines.sh" up "$@" </dev/null && "$HERE/images.sh" "$@" </dev/null
}

# Keeps the name server of each Podman running, and its network. Both go with the last container; one that starts at this
# moment is left without names, and what the server has forgotten to forget answers for others.
hold_names() {
    local engine lists pid log
    for engine in podman podman-rootless; do
        lists=/run/containers/networks/aardvark-dns
        [ "$engine" = podman ] || lists=/run/user/$(id -u tanuki-rootless)/containers/networks/aardvark-dns
        # One that a killed run has left would keep what that run's server has not forgotten.
        on_podman "$engine" rm --force --ignore --time 0 "$NAMES" >/dev/null 2>&1 || true
        if [ -z "$(on_podman "$engine" ps --quiet)" ] && [ -d "$lists" ]; then
            pid=$(cat "$lists/aardvark.pid" 2>/dev/null || echo none)
            [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != aardvark-dns ] || kill "$pid"
            rm -f "$lists"/*
        fi
        on_podman "$engine" network exists "$NAMES" || on_podman "$engine" network create "$NAMES" >/dev/null
        log=$(on_podman "$engine" run --replace --detach --init --name "$NAMES" --network "$NAMES" \
            localhost/tanuki-test/plain:1 sleep infinity 2>&1) || die "$engine: $log"
    done
}

release_names() {
    local engine
    for engine in podman podman-rootless; do
        answers "$engine" || continue
        on_podman "$engine" rm --force --ignore --time 0 "$NAMES" >/dev/null 2>&1
        on_podman "$engine" network rm "$NAMES" >/dev/null 2>&1
    done
}

# on_podman <engine> <args...>: away from a directory that the rootless user may not see.
on_podman() {
    local engine=$1
    shift
    (cd / && "$HERE/engines.sh" exec "$engine" podman "$@" </dev/null)
}

# --- commands ---------------------------------------------------------------------------------------------------

# One build serves all three runs: with another choice of packages cargo would choose other features, and build anew.
run_tests() {
    local set_up
    need_rust
    need curl:curl git:git tmux:tmux cc:gcc
    claim "${ENGINES[@]}"
    set_up "${ENGINES[@]}" &
    set_up=$!
    need_nextest
    say "building"
    cargo build --quiet --workspace --bins
    cargo nextest run --workspace --no-run --cargo-quiet
    say "fast tests"
    cargo nextest run --workspace --profile ci --no-tests fail </dev/null
    cargo test --quiet --doc --workspace </dev/null
    wait "$set_up" || die "not every engine is ready: its tests would not mean anything"
    "$(target)/debug/leftovers" || die "what earlier tests left cannot be taken away"
    AT_END+=(release_names)
    hold_names
    say "tests on engines"
    cargo nextest run --workspace --profile integration --no-tests fail "$@" </dev/null
}

# Compose 2 is not in Debian 12: the plugin is taken out of the next release's package, whose sources are used for this
# one download only.
compose_plugin() {
    local dir=$1/docker apt mirror options
    [ ! -x "$dir/cli-plugins/docker-compose" ] || return 0
    need dpkg-deb:dpkg
    say "getting docker compose"
    apt=$1/apt
    mkdir -p "$dir/cli-plugins" "$apt/lists/partial" "$apt/cache/archives/partial"
    # shellcheck disable=SC2016 # $(REPO_URI) is for apt
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN)' 'Created-By: Packages' |
        awk '$2 == "Debian" && $1 !~ /security/ { print $1; exit }')
    [ -n "$mirror" ] || die "no Debian mirror is configured here, so there is no docker compose to compare with"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$apt/sources.list"
    options=(-qq -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists"
        -o "Dir::Cache=$apt/cache" -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=0
        -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update || die "apt-get update failed"
    (cd "$apt" && apt-get "${options[@]}" download docker-compose) || die "cannot download docker-compose"
    dpkg-deb --fsys-tarfile "$apt"/docker-compose_*.deb |
        tar -xO ./usr/libexec/docker/cli-plugins/docker-compose >"$dir/cli-plugins/docker-compose.part"
    chmod 755 "$dir/cli-plugins/docker-compose.part"
    mv "$dir/cli-plugins/docker-compose.part" "$dir/cli-plugins/docker-compose"
    rm -rf "$apt"
}

# The dashboard is measured against another one, a program of its own: nothing of it is built into ours.
bench_dashboard() {
    local dir
    dir=$(target)/bench
    need_rust
    need git:git cc:gcc setsid:util-linux
    claim docker
    set_up docker
    if [ ! -x "$dir/oxker/bin/oxker" ]; then
        say "installing oxker $OXKER (minutes, once)"
        CARGO_TARGET_DIR=$dir/oxker/build cargo install --quiet --locked --root "$dir/oxker" --version "$OXKER" oxker </dev/null
        rm -rf "$dir/oxker/build"
    fi
    say "building for release (minutes, the first time)"
    cargo build --quiet --release --bin tanuki
    TANUKI_BENCH_BINARY=$(target)/release/tanuki TANUKI_BENCH_OXKER=$dir/oxker/bin/oxker \
        TANUKI_BENCH_REPORT=$dir/dashboard.md \
        cargo bench --quiet --package tanuki-integration --bench dashboard -- "$@" </dev/null
}

run_bench() {
    local dir
    if [ "${1:-}" = dashboard ]; then
        shift
        bench_dashboard "$@"
        return
    fi
    dir=$(target)/bench
    need_rust
    need curl:curl git:git cc:gcc
    claim docker
    set_up docker
    compose_plugin "$dir"
    say "building for release (minutes, the first time)"
    cargo build --quiet --release --bin tanuki
    TANUKI_BENCH_BINARY=$(target)/release/tanuki TANUKI_BENCH_DOCKER_CONFIG=$dir/docker \
        TANUKI_BENCH_REPORTS=$dir \
        cargo bench --quiet --package tanuki-integration --bench measure -- "$@" </dev/null
    [ $# -gt 0 ] || bench_dashboard
}

run_trixie() {
    need_rust
    need curl:curl git:git cc:gcc nsenter:util-linux
    claim docker
    set_up docker
    "$HERE/images.sh" trixie docker </dev/null
    need_nextest
    say "building"
    cargo build --quiet --workspace --bins
    cargo nextest run --workspace --profile trixie --no-tests fail "$@" </dev/null
}

run_demo() {
    local engine=${1:-}
    [ $# -le 1 ] || die "usage: run.sh demo [${ENGINES[*]}]"
    if [ -z "$engine" ]; then
        for engine in "${ENGINES[@]}" docker; do
            ! answers "$engine" || break
        done
    fi
    case " ${ENGINES[*]} " in *" $engine "*) ;; *) die "unknown engine '$engine'; known: ${ENGINES[*]}" ;; esac
    need_rust
    need curl:curl git:git cc:gcc
    claim "$engine"
    # shellcheck source=demo.sh source-path=SCRIPTDIR
    . "$HERE/demo.sh"
    demo "$engine"
}

main() {
    local command=${1:-help}
    case $command in
        demo | test | bench | trixie) become_root "$@" ;;
        help | -h | --help)
            usage
            return 0
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
    shift
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    # Where engines are is for this script to say, not for the environment it was started from.
    unset DOCKER_HOST DOCKER_CONTEXT CONTAINER_HOST TANUKI_RUNTIME TANUKI_PROJECT TANUKI_CONTROLLER
    cd "$TOP"
    case $command in
        demo) run_demo "$@" ;;
        test) run_tests "$@" ;;
        bench) run_bench "$@" ;;
        trixie) run_trixie "$@" ;;
    esac
}

main "$@"
