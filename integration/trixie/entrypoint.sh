#!/bin/bash
# Starts dockerd and Podman's API service, sockets in /sockets (a bind mount of the test's), prints READY when both
# answer, and ends when told to or when either of them ends. ENGINES="docker podman" chooses.
set -euo pipefail

ENGINES=${ENGINES:-docker podman}
SOCKETS=${SOCKETS:-/sockets}
mkdir -p "$SOCKETS" /run/podman

# A dead container's sockets on the bind mount would look like this one's.
rm -f "$SOCKETS"/docker.sock "$SOCKETS"/podman.sock /var/run/docker.pid

pids=()
for engine in $ENGINES; do
    case $engine in
        docker) dockerd --host "unix://$SOCKETS/docker.sock" >/var/log/docker.log 2>&1 & ;;
        podman) podman system service --time=0 "unix://$SOCKETS/podman.sock" >/var/log/podman.log 2>&1 & ;;
        *)
            echo "unknown engine '$engine'; known: docker podman" >&2
            exit 2
            ;;
    esac
    pids+=($!)
done

stop() {
    kill -TERM "${pids[@]}" 2>/dev/null || true
    wait || true
    exit 0
}
trap stop TERM INT

for engine in $ENGINES; do
    until curl --silent --fail --max-time 5 --unix-socket "$SOCKETS/$engine.sock" http://engine/_ping >/dev/null; do
        for pid in "${pids[@]}"; do
            if ! kill -0 "$pid" 2>/dev/null; then
                echo "an engine ended while starting" >&2
                tail -n 30 /var/log/docker.log /var/log/podman.log >&2 || true
                exit 1
            fi
        done
        sleep 0.1
    done
    # The test may not be root; the directory, not the socket, is what keeps others out.
    chmod 666 "$SOCKETS/$engine.sock"
    echo "$engine $("$engine" --version | grep -o '[0-9][0-9.]*[0-9]' | head -n 1)"
done
echo READY

wait -n "${pids[@]}" || true
echo "an engine ended" >&2
stop
