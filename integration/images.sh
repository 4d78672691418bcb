#!/usr/bin/env bash
# Test images, made from Debian packages because a machine may reach package mirrors but no image registry.
# `images.sh help` tells what it does. An unchanged recipe costs a request per image and engine.
#
# One root file system (mmdebstrap) is imported once per engine; the images are thin layers on it, so disk and time
# are paid once. Everything goes through the engines' sockets: no user switching, nothing the engine's user must read.
set -euo pipefail

HERE=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
CACHE=${TANUKI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tanuki}/images
# Not in the product's label namespace: containers inherit the labels of their image.
LABEL=test-images.recipe
# Root file systems, by the Debian release they are: the tests' images, and newer engines to run nested.
declare -A PACKAGES=(
    [bookworm]="postgresql-15,redis-server,git,openssh-client,procps,curl,ca-certificates,tini,less,python3-minimal,\
libnss-wrapper,iproute2,netcat-openbsd,jq"
    [trixie]="docker.io,docker-cli,podman,crun,runc,netavark,aardvark-dns,catatonit,passt,iptables,nftables,iproute2,\
procps,curl,ca-certificates,tini"
)

# Agent CLIs: the npm package of this machine's platform, and the one executable in it that works alone, without node.
# Pinned, because what they print changes with each release. An image that holds claude may not be published.
case $(uname -m) in aarch64) NPM_ARCH=arm64 ;; *) NPM_ARCH=x64 ;; esac
declare -A CLIS=(
    [codex]="@openai/codex@0.169.0-linux-$NPM_ARCH */bin/codex"
    [claude]="@anthropic-ai/claude-code-linux-$NPM_ARCH@2.1.330 package/claude"
)
# And one that is many files and needs node: they go side by side into a directory of their own.
GEMINI="@google/gemini-cli@0.61.0 node-linux-$NPM_ARCH@22.23.5"

usage() {
    cat <<'USAGE'
usage: images.sh [engine...]         build the test images and load them into the engines named (none: all that run);
                                     the agent's goes to Docker and rootless Podman only
       images.sh agent [engine...]   the same for tanuki-test/agent:1 alone
       images.sh trixie [engine...]  the same for tanuki-test/trixie:1, newer engines to run nested (none: docker)

An engine elsewhere is named with its socket: docker@unix:///some/docker.sock, podman@unix:///some/podman.sock

  tanuki-test/postgres:15   same contract as the official image; TANUKI_TEST_INIT_DELAY=<s> widens its set-up window
  tanuki-test/postgres:14   the same content, but says it is major version 14 (to test refusals; it need not run)
  tanuki-test/redis:7       same contract as the official image
  tanuki-test/plain:1       git, bash, curl, jq, python3, psql, redis-cli
  tanuki-test/bare:1        the same without git (to test refusals)
  tanuki-test/agent:1       plain with the agent CLIs codex, claude and gemini, from npm; without one that cannot be had

TANUKI_TEST_OFFICIAL=1      pull the official postgres and redis images instead and give them these names
TANUKI_CACHE                where the root file system is kept (default $XDG_CACHE_HOME/tanuki or ~/.cache/tanuki)
USAGE
}

say() { printf 'images: %s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# client <args...>: the command line of $engine, through its socket.
client() {
    case $engine in
        # The classic builder: Debian's Docker has no buildx.
        docker) DOCKER_BUILDKIT=0 docker --host "$sock" "$@" ;;
        podman*) podman --remote --url "$sock" "$@" ;;
    esac
}

# Fails when the engine does not run.
socket_of() { "$HERE/engines.sh" status "$1" | awk '$2 == "running" { print $NF; found = 1 } END { exit !found }'; }

# --- the root file system ---------------------------------------------------------------------------------------

# Leaves out what tests never read, above all LLVM: PostgreSQL loads it for JIT only, and does without when it is
# not there. That is a third of the size, and each engine unpacks it once.
debootstrap() {
    local suite=$1 out=$2 path options=()
    for path in '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/locale/*' '/usr/share/i18n/*' \
        '/usr/lib/postgresql/*/lib/llvmjit*' '/usr/lib/postgresql/*/lib/bitcode/*' '/usr/lib/*/libLLVM*'; do
        options+=(--dpkgopt="path-exclude=$path")
    done
    # shellcheck disable=SC2016 # $1 is for mmdebstrap's shell
    mmdebstrap --quiet --variant=minbase --include="${PACKAGES[$suite]}" "${options[@]}" \
        --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
        --essential-hook='mkdir -p "$1/etc/postgresql-common"' \
        --essential-hook='echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"' \
        --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' \
        "$suite" "$out"
}

# What names a root file system: everything that goes into it. Updates of packages do not; remove the cache for those.
base_id() {
    local suite=$1
    echo "$suite-$({
        echo "${PACKAGES[$suite]} $(dpkg --print-architecture)"
        declare -f debootstrap
    } | sha256sum | cut -c1-12)"
}

# Prints the path of a root file system's tar, making it first if this recipe has not been made.
base_tar() {
    local suite=$1 tar
    tar=$CACHE/$(base_id "$suite").tar
    if [ ! -f "$tar" ]; then
        [ "$(id -u)" -eq 0 ] || die "making a root file system needs root"
        if ! command -v mmdebstrap >/dev/null; then
            say "installing mmdebstrap"
            DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 || die "apt-get update failed"
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
                mmdebstrap debian-archive-keyring >/dev/null || die "apt-get install mmdebstrap failed"
        fi
        say "making the $suite root file system (a minute)"
        rm -f "$CACHE/$suite"-*
        debootstrap "$suite" "$tar.part.tar" >&2 || die "mmdebstrap $suite failed"
        mv "$tar.part.tar" "$tar"
    fi
    echo "$tar"
}

# --- agent CLIs -------------------------------------------------------------------------------------------------

# Makes the directory that the agent's image is built from. A CLI that cannot be had is left out, and said: the tests
# that use it will fail.
agent_directory() {
    local dir=$CACHE/agent bin=$CACHE/agent/bin cli package file old
    mkdir -p "$bin"
    for cli in "${!CLIS[@]}"; do
        read -r package file <<<"${CLIS[$cli]}"
        ! grep -qsxF "$cli $package" "$dir/versions" || continue
        say "getting $package"
        rm -rf "$dir/$cli.part" "${bin:?}/$cli"
        mkdir "$dir/$cli.part"
        old=$(grep -v "^$cli " "$dir/versions" 2>/dev/null || true)
        if npm_pack "$package" "$dir/$cli.part" >"$CACHE/npm-$cli.log" 2>&1 &&
            tar -xzO --wildcards -f "$dir/$cli.part"/*.tgz "$file" >"$dir/$cli.part/$cli"; then
            chmod 755 "$dir/$cli.part/$cli"
            mv "$dir/$cli.part/$cli" "$bin/$cli"
            printf '%s\n' "$old" "$cli $package" | grep . | sort >"$dir/versions.part"
        else
            tail -n 3 "$CACHE/npm-$cli.log" >&2
            say "warning: $package cannot be had; tanuki-test/agent:1 goes without $cli"
            printf '%s\n' "$old" | grep . >"$dir/versions.part" || true
        fi
        mv "$dir/versions.part" "$dir/versions"
        rm -rf "$dir/$cli.part"
    done
    gemini_directory "$dir"
    cp "$HERE/images/agent/Dockerfile" "$dir/Dockerfile"
}

gemini_directory() {
    local dir=$1 lib=$1/lib/gemini part=$1/gemini.part packages tgz
    read -ra packages <<<"$GEMINI"
    mkdir -p "$dir/lib"
    ! grep -qsxF "gemini $GEMINI" "$dir/versions" || return 0
    say "getting ${packages[*]}"
    rm -rf "$part" "$lib"
    mkdir -p "$part/tgz" "$part/lib"
    if npm_pack "${packages[0]}" "$part/tgz" >"$CACHE/npm-gemini.log" 2>&1 &&
        npm_pack "${packages[1]}" "$part/tgz" >>"$CACHE/npm-gemini.log" 2>&1; then
        for tgz in "$part"/tgz/*.tgz; do
            tar -xzf "$tgz" -C "$part/lib" --strip-components 1 --wildcards 'package/bundle/*' 'package/bin/node' \
                2>/dev/null || true
        done
        mv "$part/lib/bin/node" "$part/lib/node"
        # shellcheck disable=SC2016 # for the script's own shell
        printf '#!/bin/sh\nlib=/usr/local/lib/gemini\nexec "$lib/node" "$lib/bundle/gemini.js" "$@"\n' >"$part/lib/gemini"
        chmod 755 "$part/lib/gemini"
        mv "$part/lib" "$lib"
        printf '%s\n' "$(grep -v '^gemini ' "$dir/versions" 2>/dev/null || true)" "gemini $GEMINI" |
            grep . | sort >"$dir/versions.part"
        mv "$dir/versions.part" "$dir/versions"
    else
        tail -n 3 "$CACHE/npm-gemini.log" >&2
        say "warning: gemini cannot be had; tanuki-test/agent:1 goes without it"
    fi
    rm -rf "$part"
}

npm_pack() {
    if ! command -v npm >/dev/null; then
        say "installing npm"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm || return
    fi
    npm pack --silent --pack-destination "$2" "$1"
}

# --- loading: the functions below work on $engine through $sock -----------------------------------------------------

# By curl, because the clients take 50 to 200 ms to start: prints what the engine knows about an image, or nothing.
inspect() {
    local prefix=
    case $engine in podman*) prefix=/v4.0.0/libpod ;; esac
    curl --silent --fail --max-time 30 --unix-socket "${sock#unix://}" "http://engine$prefix/images/$1/json" || true
}

recipe_of() { inspect "$1" | sed -n "s/.*\"$LABEL\":\"\([^\"]*\)\".*/\1/p"; }

# Podman resolves a short name through its list of registries unless it says where it is.
local_name() { case $engine in docker) echo "$1" ;; *) echo "localhost/$1" ;; esac; }

import_base() {
    local suite=$1 image tar
    image=tanuki-test/base:$(base_id "$suite")
    [ -z "$(inspect "$image")" ] || return 0
    tar=$(base_tar "$suite")
    say "$engine: importing $image"
    client import - "$image" <"$tar" >/dev/null || die "$engine: import failed"
}

# Images and bases of earlier recipes, where nothing uses them any more.
tidy() {
    local suite=$1 old image
    image=tanuki-test/base:$(base_id "$suite")
    client image prune --force --filter "label=$LABEL" >/dev/null 2>&1 || true
    for old in $(client images --format '{{.Repository}}:{{.Tag}}' | grep "tanuki-test/base:$suite-" || true); do
        case $old in *"$image") ;; *) client rmi "$old" >/dev/null 2>&1 || true ;; esac
    done
}

# build <image> <suite> <directory> [build options...]; the directory is one of ours, or an absolute path
build() {
    local image=$1 suite=$2 dir base recipe limits=()
    case $3 in /*) dir=$3 ;; *) dir=$HERE/$3 ;; esac
    # Podman 5 raises these limits for a build, which a nested engine may not.
    case $engine in podman*) limits=(--ulimit nofile=1024:1024 --ulimit nproc=4096:4096) ;; esac
    shift 3
    base=tanuki-test/base:$(base_id "$suite")
    # Names as well as contents, but no path outside the directory. What is big has its version in a small file.
    recipe=$({
        echo "$base $*"
        cd "$dir" && find . -type f -size -1024k -print0 | sort -z | xargs -0 sha256sum
    } | sha256sum | cut -c1-12)
    [ "$(recipe_of "$image")" != "$recipe" ] || return 0
    import_base "$suite"
    say "$engine: building $image"
    client build --quiet --network none "${limits[@]}" --label "$LABEL=$recipe" \
        --build-arg "BASE=$(local_name "$base")" "$@" \
        --tag "$image" "$dir" >/dev/null 2>"$CACHE/build-$engine.log" ||
        { cat "$CACHE/build-$engine.log" >&2; die "$engine: building $image failed"; }
    tidy "$suite"
}

# official <image> <registry image>: an image without our label is not one that we built.
official() {
    if [ -n "$(inspect "$1")" ] && [ -z "$(recipe_of "$1")" ]; then return 0; fi
    say "$engine: pulling $2 as $1"
    client pull --quiet "$2" >/dev/null || die "$engine: pulling $2 failed"
    client tag "$2" "$1"
}

load_tests() {
    if [ "${TANUKI_TEST_OFFICIAL:-0}" = 1 ]; then
        official tanuki-test/postgres:15 postgres:15
        official tanuki-test/postgres:14 postgres:14
        official tanuki-test/redis:7 redis:7
    else
        build tanuki-test/postgres:15 bookworm images/postgres
        build tanuki-test/postgres:14 bookworm images/postgres --build-arg PG_MAJOR=14
        build tanuki-test/redis:7 bookworm images/redis
    fi
    build tanuki-test/plain:1 bookworm images/plain
    build tanuki-test/bare:1 bookworm images/bare
    # Engines elsewhere, and rootful Podman, run no agent's tests; a gigabyte each is saved.
    case $target in docker | podman-rootless) load_agent ;; esac
}

load_agent() { build tanuki-test/agent:1 bookworm "$CACHE/agent"; }

load_trixie() { build tanuki-test/trixie:1 trixie trixie; }

main() {
    local load=load_tests suite=bookworm targets=() jobs=() job failed=0 target
    case ${1:-} in
        -h | --help | help)
            usage
            return 0
            ;;
        trixie)
            load=load_trixie suite=trixie
            shift
            [ $# -gt 0 ] || set -- docker
            ;;
        agent)
            load=load_agent
            shift
            ;;
    esac
    targets=("$@")
    if [ $# -eq 0 ]; then
        mapfile -t targets < <("$HERE/engines.sh" status | awk '$2 == "running" { print $1 }')
        [ "${#targets[@]}" -gt 0 ] || die "no engine runs; start them with $HERE/engines.sh up"
    fi
    mkdir -p "$CACHE"
    exec 9>"$CACHE/lock"
    flock --timeout 900 9 || die "another images.sh holds $CACHE/lock"

    [ "$load" = load_trixie ] || agent_directory
    for target in "${targets[@]}"; do
        engine=${target%%@*}
        case $target in
            *@*) sock=${target#*@} ;;
            *) sock=$(socket_of "$engine") || die "$engine does not run; start it with $HERE/engines.sh up $engine" ;;
        esac
        # Two engines that both miss the base must not make it twice.
        if [ -z "$(inspect "tanuki-test/base:$(base_id "$suite")")" ]; then base_tar "$suite" >/dev/null; fi
        ("$load") &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
    [ "$failed" -eq 0 ] || die "not every image could be loaded"
    say "ready in ${targets[*]}"
}

main "$@"
