#!/bin/bash
# Entrypoint of tanuki-test/redis: `redis-server [config] [options]` in the foreground as user redis, data in /data.
set -euo pipefail

case ${1:-redis-server} in
    -* | *.conf) set -- redis-server "$@" ;;
    redis-server) [ $# -gt 0 ] || set -- redis-server ;;
    *) exec "$@" ;;
esac

if [ "$(id -u)" -eq 0 ]; then
    find . \! -user redis -exec chown redis:redis {} +
    exec setpriv --reuid=redis --regid=redis --init-groups -- "$0" "$@"
fi

umask 077
shift
config=()
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
    config=("$1")
    shift
fi
# Protected mode refuses everything but loopback, and in a container nothing comes from there. Options beat the file,
# so a file that decides this itself is left to.
open=(--protected-mode no)
if [ "${#config[@]}" -gt 0 ] && grep -qs '^ *protected-mode' "${config[0]}"; then open=(); fi
exec redis-server "${config[@]}" "${open[@]}" "$@"
