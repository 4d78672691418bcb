#!/usr/bin/env bash
# Container engines for the integration tests, on a Debian machine with or without systemd.
# `engines.sh help` tells what it does. Only this script and images.sh assume root.
#
# An engine that already answers on its socket is somebody else's: it is used, never configured and never stopped.
# What `up` starts is remembered as pid plus start time, so that `down` cannot hit a process that got the pid later.
set -euo pipefail

SELF=$(realpath "${BASH_SOURCE[0]}")
STATE=${TANUKI_ENGINES_STATE:-/var/lib/tanuki-engines}
ROOTLESS_USER=tanuki-rootless
ENGINES=(docker podman podman-rootless)

usage() {
    cat <<'USAGE'
usage: engines.sh <command> [engine...]      engines: docker podman podman-rootless (none named: all)

  up [engine...]             install what is missing (apt-get), start what does not answer, wait for the sockets
  down [engine...]           stop what `up` started, wait until it ended (Podman's containers outlive its service)
  restart <engine>           stop and start one engine; only one that `up` started
  status [engine...]         one line each: name, state (running, stopped, silent: started but no answer, denied: not
                             your socket), ours or foreign, version, socket
  env <engine>               shell lines for a test: eval "$(engines.sh env podman)"
  exec <engine> <cmd...>     run a command as the engine's user with the engine's configuration

TANUKI_ENGINES_STATE         pid files, logs and private configuration (default /var/lib/tanuki-engines)
USAGE
}

say() { printf 'engines: %s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

need_root() { [ "$(id -u)" -eq 0 ] || die "$1 needs root (try: sudo $0 $1)"; }

known() {
    local engine
    for engine in "${ENGINES[@]}"; do
        [ "$engine" = "$1" ] && return 0
    done
    die "unknown engine '$1'; known: ${ENGINES[*]}"
}

rootless_uid() { id -u "$ROOTLESS_USER" 2>/dev/null; }
rootless_home() { getent passwd "$ROOTLESS_USER" | cut -d: -f6; }

# The socket's path. Rootless: nothing is printed before the user exists.
socket() {
    local uid
    case $1 in
        docker) echo /var/run/docker.sock ;;
        podman) echo /run/podman/podman.sock ;;
        podman-rootless) if uid=$(rootless_uid); then echo "/run/user/$uid/podman/podman.sock"; fi ;;
    esac
}

# Name and version as the engine's ping tells them ("Docker/20.10.24"), a status of 1 when nothing answers.
# The ping is used because Podman takes 400 ms to answer /version.
ping_engine() {
    local sock reply
    sock=$(socket "$1")
    [ -n "$sock" ] && [ -S "$sock" ] || return 1
    reply=$(curl --silent --fail --max-time 5 --include --unix-socket "$sock" http://engine/_ping 2>/dev/null) ||
        return 1
    sed -n 's/^[Ss]erver: *\([^ ]*\).*/\1/p' <<<"$reply" | tr -d '\r'
}

# --- processes we own -------------------------------------------------------------------------------------------

# A process's start time in clock ticks: with the pid it names a process for ever. Fields are counted after the
# last ')' because the command name may hold blanks and parentheses.
start_time() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # A zombie has ended; only its parent has not looked yet.
    [ "$(cut -d' ' -f1 <<<"${stat##*) }")" != Z ] || return 1
    cut -d' ' -f20 <<<"${stat##*) }"
}

# The pid of the daemon that `up` started, a status of 1 when it is gone.
own_pid() {
    local pid started
    [ -r "$STATE/$1.pid" ] || return 1
    read -r pid started <"$STATE/$1.pid" || return 1
    [ "$(start_time "$pid")" = "$started" ] || return 1
    echo "$pid"
}

# Replaces this process by a command that holds none of our files: a pipe of the caller's, kept open by a daemon,
# would let whoever reads it wait for ever.
exec_alone() {
    local fd
    for fd in "/proc/$BASHPID/fd"/*; do
        fd=${fd##*/}
        if [ "$fd" -gt 2 ]; then eval "exec $fd>&-"; fi
    done
    exec "$@"
}

# launch <engine> <cmd...>: starts a daemon in its own session, with its own log file.
launch() {
    local engine=$1 pid
    shift
    # The log of the run before is kept: it is what explains a crash.
    [ ! -f "$STATE/$engine.log" ] || mv -f "$STATE/$engine.log" "$STATE/$engine.log.1"
    (cd / && exec_alone setsid "$@") </dev/null >"$STATE/$engine.log" 2>&1 &
    pid=$!
    disown
    echo "$pid $(start_time "$pid")" >"$STATE/$engine.pid"
}

wait_ready() {
    local engine=$1 deadline=$((SECONDS + 90))
    until ping_engine "$engine" >/dev/null; do
        if ! own_pid "$engine" >/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
            tail -n 20 "$STATE/$engine.log" >&2 || true
            die "$engine did not come up; its log is $STATE/$engine.log"
        fi
        sleep 0.1
    done
}

# children <pid> <name>: the pids of a process's children of this name.
children() {
    local stat
    for stat in /proc/[0-9]*/stat; do
        # Fields: pid (comm) state ppid
        if [[ $(cat "$stat" 2>/dev/null) =~ ^([0-9]+)\ \("$2"\)\ .\ "$1"\  ]]; then echo "${BASH_REMATCH[1]}"; fi
    done
}

any_lives() {
    local pid
    for pid in "$@"; do
        ! start_time "$pid" >/dev/null || return 0
    done
    return 1
}

stop_engine() {
    local engine=$1 pid pids deadline
    if ! pid=$(own_pid "$engine"); then
        rm -f "$STATE/$engine.pid"
        if ping_engine "$engine" >/dev/null; then
            say "$engine: not started by this script, left alone"
        else
            say "$engine: not running"
        fi
        return 0
    fi
    # Rootless Podman is a parent that waits and a child in the user namespace that serves; the child does not always
    # hear of the signal.
    mapfile -t pids < <(echo "$pid" && children "$pid" podman)
    kill -TERM "${pids[@]}" 2>/dev/null || true
    # dockerd gives each container 15 s of its own before it ends.
    deadline=$((SECONDS + 45))
    while any_lives "${pids[@]}"; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            say "$engine: still there after 45 s, killing it"
            kill -KILL "${pids[@]}" 2>/dev/null || true
            deadline=$((SECONDS + 45))
        fi
        sleep 0.1
    done
    rm -f "$STATE/$engine.pid"
    say "$engine: stopped"
}

# --- packages and machine set-up --------------------------------------------------------------------------------

# "command-or-file:package", by engine. Commands are looked for, not packages, because a machine may have its engine
# from another source whose packages conflict with Debian's.
needs() {
    local podman=(podman:podman crun:crun runc:runc catatonit:catatonit iptables:iptables
        /usr/lib/podman/netavark:netavark /usr/lib/podman/aardvark-dns:aardvark-dns)
    echo curl:curl
    case $1 in
        docker) printf '%s\n' iptables:iptables dockerd:docker.io docker:docker.io ;;
        podman) printf '%s\n' "${podman[@]}" ;;
        podman-rootless)
            printf '%s\n' "${podman[@]}" newuidmap:uidmap slirp4netns:slirp4netns fuse-overlayfs:fuse-overlayfs
            ;;
    esac
}

# Installs what the engines named miss, in one go: updating the package lists is the slow part.
install_for() {
    local engine pair probe missing=()
    for engine in "$@"; do
        # Whoever runs an engine has chosen its packages.
        ! ping_engine "$engine" >/dev/null || continue
        for pair in $(needs "$engine"); do
            probe=${pair%%:*}
            command -v "$probe" >/dev/null || [ -e "$probe" ] || missing+=("${pair#*:}")
        done
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    say "installing ${missing[*]}"
    # RUNLEVEL=1 keeps init scripts from starting the daemon: we start it ourselves, as ours.
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    apt-get update -qq || die "apt-get update failed"
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$STATE/apt.log" 2>&1 9>&- ||
        { tail -n 20 "$STATE/apt.log" >&2; die "apt-get install failed: ${missing[*]}"; }
    unset RUNLEVEL
}

# Podman's configuration, in a file of our own that CONTAINERS_CONF names: nothing under /etc is touched, and conmon
# passes the variable on to the clean-up command it runs when a container ends. The service reads it once, at start.
write_containers_conf() {
    local hard caps
    hard=$(ulimit -Hn)
    caps=$(sed -n 's/^CapEff:\s*//p' /proc/self/status)
    {
        echo "# Written by engines.sh up; overwritten by the next one."
        echo "[containers]"
        # Without systemd there is no journal.
        echo 'log_driver = "k8s-file"'
        # Podman asks for limits above ours by default, and raising one takes CAP_SYS_RESOURCE (bit 24).
        if (((16#$caps >> 24 & 1) == 0)); then
            echo "default_ulimits = [\"nofile=$hard:$hard\", \"nproc=4096:4096\"]"
        fi
        echo "[engine]"
        echo 'events_logger = "file"'
        echo 'cgroup_manager = "cgroupfs"'
        # crun refuses cgroup v1 with a v2 hierarchy beside it; on pure v2 Podman's own choice is right.
        if [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]; then echo 'runtime = "runc"'; fi
        echo "[network]"
        echo 'network_backend = "netavark"'
    } >"$STATE/containers.conf"
    chmod 644 "$STATE/containers.conf"
}

# A user's subordinate ids: 65536 after the last range in the file.
ensure_subids() {
    local file=$1 first
    touch "$file"
    grep -q "^$ROOTLESS_USER:" "$file" && return 0
    first=$(awk -F: '{ end = $2 + $3; if (end > max) max = end } END { print (max > 100000) ? max : 100000 }' "$file")
    echo "$ROOTLESS_USER:$first:65536" >>"$file"
}

# Name and user id of every process. Some end while they are looked at; a zombie has ended, only its parent has not
# looked yet.
living() {
    { cat /proc/[0-9]*/status 2>/dev/null || true; } | awk '
        $1 == "Name:" { name = $2 }
        $1 == "State:" { zombie = $2 == "Z" }
        $1 == "Uid:" && !zombie { print name, $2 }'
}

# Podman tells a boot by its runtime directory being empty. Where everything was killed without a boot, the directory
# names containers, a user namespace and a network that are gone: rootless Podman does not start then, and rootful
# Podman neither starts nor stops what it believes to run. This does what a boot would have done; what containers and
# volumes hold is elsewhere.
forget_last_boot() {
    local engine=$1 run uid first
    case $engine in
        podman)
            [ -e /run/libpod/alive ] && ! living | grep -x 'conmon 0' >/dev/null || return 0
            [ -n "$(as_podman ps --quiet --filter status=running 2>/dev/null)" ] || return 0
            say "podman: forgetting what ran before everything was killed"
            # Mounts, network namespaces and packet filter rules go with this, although it fails in the end.
            as_podman stop --all --time 0 >/dev/null 2>&1 || true
            as_podman container cleanup --all >/dev/null 2>&1 || true
            rm -rf --one-file-system /run/libpod /run/containers/networks /dev/shm/libpod_lock
            ;;
        podman-rootless)
            uid=$(rootless_uid) && run=/run/user/$uid && [ -e "$run/libpod" ] || return 0
            first=$(awk -F: -v user="$ROOTLESS_USER" '$1 == user { print $2 }' /etc/subuid)
            # Its own processes, and those of the ids that it lends to its containers.
            ! living | awk -v uid="$uid" -v first="$first" '
                $2 == uid || $2 >= first && $2 < first + 65536 { found = 1 } END { exit !found }' || return 0
            say "podman-rootless: forgetting what ran before everything was killed"
            rm -rf --one-file-system "$run"/{containers,libpod,netns,podman,runc,crun} \
                "/dev/shm/libpod_rootless_lock_$uid"
            ;;
    esac
}

as_podman() { (as_engine podman timeout 60 podman "$@"); }

# A bridge takes its address from its ports, so it changes when containers come and go. Podman's name server answers on
# the bridge: containers that remember the old address get no answer for 10 to 45 s. With this the bridge tells them.
# Network namespaces that are made later take it over.
announce_bridges() {
    local scope
    for scope in all default; do
        [ ! -w "/proc/sys/net/ipv4/conf/$scope/arp_notify" ] || echo 1 >"/proc/sys/net/ipv4/conf/$scope/arp_notify"
    done
}

prepare_rootless() {
    local uid
    if ! rootless_uid >/dev/null; then
        useradd --create-home --shell /bin/bash "$ROOTLESS_USER"
        say "podman-rootless: created user $ROOTLESS_USER"
    fi
    ensure_subids /etc/subuid
    ensure_subids /etc/subgid
    uid=$(rootless_uid)
    install -d -m 755 /run/user
    install -d -m 700 -o "$ROOTLESS_USER" -g "$ROOTLESS_USER" "/run/user/$uid" "/run/user/$uid/podman"
    # slirp4netns opens the first, fuse-overlayfs the second, both as the user.
    local device
    for device in /dev/net/tun /dev/fuse; do
        if [ -e "$device" ]; then chmod 666 "$device"; fi
    done
    # A private root keeps mounts of the user namespace from being propagated; Podman warns and volumes misbehave.
    case $(findmnt -no PROPAGATION /) in
        shared*) ;;
        *) mount --make-rshared / ;;
    esac
    if [ "$(cat /proc/sys/kernel/unprivileged_userns_clone 2>/dev/null)" = 0 ]; then
        echo 1 >/proc/sys/kernel/unprivileged_userns_clone
    fi
    # Native overlay: left alone, Podman 4.3 takes vfs here, which copies whole images for each container.
    printf '%s\n' "# Written by engines.sh up; overwritten by the next one." '[storage]' 'driver = "overlay"' \
        >"$STATE/storage-rootless.conf"
    chmod 644 "$STATE/storage-rootless.conf"
}

# The variables by which Podman finds what `up` wrote; none for a Podman that somebody else configured.
private_conf() {
    case $1 in podman*) [ ! -f "$STATE/containers.conf" ] || echo "CONTAINERS_CONF=$STATE/containers.conf" ;; esac
    if [ "$1" = podman-rootless ] && [ -f "$STATE/storage-rootless.conf" ]; then
        echo "CONTAINERS_STORAGE_CONF=$STATE/storage-rootless.conf"
    fi
}

# as_engine <engine> <cmd...>: replaces this process by the command, as the engine's user, with its configuration.
as_engine() {
    local engine=$1 uid conf
    shift
    mapfile -t conf < <(private_conf "$engine")
    case $engine in
        docker) exec env DOCKER_HOST="unix://$(socket docker)" "$@" ;;
        podman) exec env "${conf[@]}" "$@" ;;
        podman-rootless)
            uid=$(rootless_uid) || die "user $ROOTLESS_USER does not exist yet: run $0 up podman-rootless"
            exec setpriv --reuid="$uid" --regid="$(id -g "$ROOTLESS_USER")" --init-groups --inh-caps=-all \
                env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
                HOME="$(rootless_home)" USER="$ROOTLESS_USER" LOGNAME="$ROOTLESS_USER" \
                XDG_RUNTIME_DIR="/run/user/$uid" "${conf[@]}" "$@"
            ;;
    esac
}

start_engine() {
    local engine=$1 version file name pid began=$SECONDS
    if version=$(ping_engine "$engine"); then
        say "$engine: already running ($version)"
        return 0
    fi
    # A daemon of ours that does not answer is stuck or still starting: give it up before starting another.
    if own_pid "$engine" >/dev/null; then stop_engine "$engine"; fi
    forget_last_boot "$engine"
    case $engine in
        docker)
            # dockerd takes any process with the pid in a stale file for the daemon of that file, be it a zombie.
            for file in /var/run/docker.pid /var/run/docker/containerd/containerd.pid; do
                case $file in *containerd.pid) name=containerd ;; *) name=dockerd ;; esac
                pid=$(cat "$file" 2>/dev/null || echo none)
                if ! start_time "$pid" >/dev/null || [ "$(cat "/proc/$pid/comm")" != "$name" ]; then
                    rm -f "$file"
                fi
            done
            launch docker dockerd --host "unix://$(socket docker)"
            ;;
        podman)
            announce_bridges
            write_containers_conf
            install -d -m 755 /run/podman
            launch podman "$SELF" exec podman podman system service --time=0 "unix://$(socket podman)"
            ;;
        podman-rootless)
            announce_bridges
            prepare_rootless
            write_containers_conf
            launch podman-rootless "$SELF" exec podman-rootless \
                podman system service --time=0 "unix://$(socket podman-rootless)"
            ;;
    esac
    wait_ready "$engine"
    say "$engine: up ($(ping_engine "$engine")) after $((SECONDS - began)) s"
}

# --- commands ---------------------------------------------------------------------------------------------------

status_line() {
    local engine=$1 version state owner=- sock
    sock=$(socket "$engine")
    if own_pid "$engine" >/dev/null; then owner=ours; fi
    if version=$(ping_engine "$engine"); then
        state=running
        [ "$owner" = ours ] || owner=foreign
    else
        version=-
        if [ -S "$sock" ] && [ ! -w "$sock" ]; then
            state=denied
        elif [ "$owner" = ours ]; then
            state=silent
        else
            state=stopped
        fi
    fi
    printf '%-16s %-8s %-8s %-24s %s\n' "$engine" "$state" "$owner" "$version" "${sock:+unix://}${sock:--}"
}

print_env() {
    local engine=$1 sock
    sock=$(socket "$engine")
    [ -n "$sock" ] || die "user $ROOTLESS_USER does not exist yet: run $0 up podman-rootless"
    echo "export TANUKI_TEST_ENGINE=$engine"
    echo "export TANUKI_TEST_SOCKET=unix://$sock"
    case $engine in
        docker) echo "export TANUKI_TEST_USER=root DOCKER_HOST=unix://$sock" ;;
        podman) echo "export TANUKI_TEST_USER=root CONTAINER_HOST=unix://$sock" ;;
        podman-rootless)
            # For a process that becomes this user, with XDG_RUNTIME_DIR set; root can use the socket as well.
            echo "export TANUKI_TEST_USER=$ROOTLESS_USER CONTAINER_HOST=unix://$sock"
            echo "export TANUKI_TEST_UID=$(rootless_uid) TANUKI_TEST_HOME=$(rootless_home)"
            echo "export TANUKI_TEST_RUNTIME_DIR=/run/user/$(rootless_uid)"
            ;;
    esac
    private_conf "$engine" | sed 's/^/export /'
}

# One up, down or restart at a time: two would race for the pid files and for apt.
lock() {
    install -d -m 755 "$STATE"
    exec 9>"$STATE/lock"
    flock --timeout 600 9 || die "another engines.sh holds $STATE/lock"
}

main() {
    local command=${1:-help} engine
    [ $# -eq 0 ] || shift
    case $command in
        up | down | status)
            local engines=("$@")
            [ $# -gt 0 ] || engines=("${ENGINES[@]}")
            for engine in "${engines[@]}"; do known "$engine"; done
            if [ "$command" != status ]; then
                need_root "$command"
                lock
            fi
            [ "$command" != up ] || install_for "${engines[@]}"
            for engine in "${engines[@]}"; do
                case $command in
                    up) start_engine "$engine" ;;
                    down) stop_engine "$engine" ;;
                    status) status_line "$engine" ;;
                esac
            done
            ;;
        restart)
            [ $# -eq 1 ] || die "usage: engines.sh restart <engine>"
            known "$1"
            need_root restart
            lock
            own_pid "$1" >/dev/null || die "$1 was not started by this script, so it is not restarted"
            stop_engine "$1"
            start_engine "$1"
            ;;
        env)
            [ $# -eq 1 ] || die "usage: engines.sh env <engine>"
            known "$1"
            print_env "$1"
            ;;
        exec)
            [ $# -ge 2 ] || die "usage: engines.sh exec <engine> <cmd...>"
            known "$1"
            as_engine "$@"
            ;;
        help | -h | --help) usage ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
}

main "$@"
