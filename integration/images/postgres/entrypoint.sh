#!/bin/bash
# Entrypoint of tanuki-test/postgres. It honours what users of the official image rely on:
#   POSTGRES_USER (postgres), POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, POSTGRES_DB (the user's name),
#   POSTGRES_INITDB_ARGS, POSTGRES_HOST_AUTH_METHOD (scram-sha-256), PGDATA, /docker-entrypoint-initdb.d.
# As there, a fresh data directory is set up by a temporary server that listens on the unix socket only. A probe over
# that socket succeeds too early; tests are about exactly this window, and TANUKI_TEST_INIT_DELAY (seconds) widens it.
# As there too, a container killed during set-up leaves a half-made data directory behind.
set -euo pipefail

fail() {
    echo "postgres-entrypoint: $*" >&2
    exit 1
}

case ${1:-postgres} in
    -*) set -- postgres "$@" ;;
    postgres) [ $# -gt 0 ] || set -- postgres ;;
    *) exec "$@" ;;
esac

RUNDIR=/var/run/postgresql
if [ "$(id -u)" -eq 0 ]; then
    mkdir -p "$PGDATA" "$RUNDIR"
    chmod 3777 "$RUNDIR"
    find "$PGDATA" \! -user postgres -exec chown postgres:postgres {} +
    chmod 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
fi

mkdir -p "$PGDATA" 2>/dev/null || fail "cannot create $PGDATA as user $(id -u)"
chmod 700 "$PGDATA" 2>/dev/null || true

# initdb looks its user up; an arbitrary --user has no entry.
if ! getent passwd "$(id -u)" >/dev/null; then
    NSS_WRAPPER_PASSWD=$(mktemp)
    NSS_WRAPPER_GROUP=$(mktemp)
    LD_PRELOAD=libnss_wrapper.so
    echo "postgres:x:$(id -u):$(id -g):PostgreSQL:/tmp:/bin/false" >"$NSS_WRAPPER_PASSWD"
    echo "postgres:x:$(id -g):" >"$NSS_WRAPPER_GROUP"
    export NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP LD_PRELOAD
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    user=${POSTGRES_USER:-postgres}
    database=${POSTGRES_DB:-$user}
    password=${POSTGRES_PASSWORD:-}
    if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
        [ -z "$password" ] || fail "both POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are set"
        password=$(<"$POSTGRES_PASSWORD_FILE")
    fi
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    [ -n "$password" ] || [ "$method" = trust ] ||
        fail "the database is not initialised and POSTGRES_PASSWORD is not set (or POSTGRES_HOST_AUTH_METHOD=trust)"

    # The shell is PID 1 here and would ignore signals; stopping must not take the engine's whole grace period.
    trap 'pg_ctl -D "$PGDATA" -m fast -w stop || true; exit 143' INT TERM

    # No fsync while setting up: nobody's data is at stake yet, and the server syncs when it is stopped below.
    # shellcheck disable=SC2086 # the arguments are words by contract
    initdb --username="$user" --pwfile=<(echo "${password:-unused}") --encoding=UTF8 --locale=C.UTF-8 --no-sync \
        --no-instructions --auth-local=trust --auth-host="$method" ${POSTGRES_INITDB_ARGS:-} -D "$PGDATA"
    echo "host all all all $method" >>"$PGDATA/pg_hba.conf"

    pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -c fsync=off" -w start

    run_sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password -U "$user" -d "$database" "$@"; }
    if [ "$database" != postgres ]; then
        psql -v ON_ERROR_STOP=1 --no-psqlrc -q -U "$user" -d postgres -v db="$database" \
            <<<'CREATE DATABASE :"db";'
    fi
    export PGUSER=$user PGDATABASE=$database
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
            *.sh)
                echo "postgres-entrypoint: running $file"
                # shellcheck disable=SC1090 # a user's script
                if [ -x "$file" ]; then "$file"; else . "$file"; fi
                ;;
            *.sql)
                echo "postgres-entrypoint: running $file"
                run_sql -f "$file"
                ;;
            *.sql.gz)
                echo "postgres-entrypoint: running $file"
                gunzip -c "$file" | run_sql
                ;;
        esac
    done
    unset PGUSER PGDATABASE

    if [ -n "${TANUKI_TEST_INIT_DELAY:-}" ]; then
        echo "postgres-entrypoint: staying in set-up for $TANUKI_TEST_INIT_DELAY s"
        # In the background, so that a signal's trap runs at once.
        sleep "$TANUKI_TEST_INIT_DELAY" &
        wait $!
    fi
    # Not -m smart: a probe's open session must not hold up the start.
    pg_ctl -D "$PGDATA" -m fast -w stop
    trap - INT TERM
    sync -f "$PGDATA"
    echo "postgres-entrypoint: initialised, starting the server"
fi

unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
shift
# Given first, so that the user's own arguments win.
exec postgres -c listen_addresses='*' "$@"
