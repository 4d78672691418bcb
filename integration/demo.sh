# shellcheck shell=bash
# The demo, a part of run.sh: a project in a temporary directory, driven by the real binary as a user would.

# Shows a command line, then runs it in the project as the engine's user.
step() {
    printf '\n%s$ %s%s\n' "$BOLD" "$*" "$PLAIN"
    as_user bash -c "$*" </dev/null
}

note() { printf '\n%s# %s%s\n' "$DIM" "$*" "$PLAIN"; }

# as_user <cmd...>: in the project, as the engine's user, with a home of its own: nothing of this machine's user is
# read or written.
as_user() {
    (
        cd "$DEMO/shop" || exit
        "$HERE/engines.sh" exec "$ENGINE" env -u DOCKER_HOST -u CONTAINER_HOST HOME="$DEMO/home" \
            PATH="$DEMO/bin:$PATH" TANUKI_RUNTIME="${ENGINE%%-*}" OPENAI_BASE_URL=http://model:8080/v1 \
            CODEX_API_KEY=none "$@"
    )
}

socket() { "$HERE/engines.sh" status "$ENGINE" | awk '{ print $NF }' | sed 's,^unix://,,'; }

# The host's number of a container's first process, as the engine tells it.
pid_of() {
    curl --silent --fail --unix-socket "$(socket)" "http://engine/containers/$1/json" |
        sed -n 's/.*"Pid": *\([0-9]*\).*/\1/p'
}

container_of() { as_user tanuki service status --wide </dev/null | awk -v name="$1" '$1 == name { print $NF }'; }

# Returns when postgres has been restarted and is healthy again.
await_recovery() {
    local deadline=$((SECONDS + 60))
    until as_user tanuki service status --wide </dev/null |
        awk '$1 == "postgres" && $3 == "healthy" && $6 > 0 { back = 1 } END { exit !back }'; do
        [ "$SECONDS" -lt "$deadline" ] || die "postgres did not come back"
        sleep 0.1
    done
}

# Whether the official images can be had here; asked by the smaller one. Some engines tell a failure in the body of
# a success.
registry_answers() {
    local reply
    reply=$(curl --silent --fail --max-time 60 --unix-socket "$(socket)" -X POST \
        "http://engine/images/create?fromImage=redis&tag=7" 2>/dev/null) && [[ $reply != *'"error"'* ]]
}

# What agents need: an image with the CLI, and their model as one more service. The prompts are beside the project.
agents_config() {
    as_user sed -i "/^services:/a\\  model: { image: tanuki-test/plain:1, pull_policy: never, command: [/bin/model], port: 8080, \
volumes: ['$DEMO/bin/model:/bin/model:ro'] }" tanuki.yaml
    as_user tee --append tanuki.yaml <<'YAML' >/dev/null

defaults: { agent: codex, model: stand-in, image: tanuki-test/agent:1 }
YAML
    as_user tee ../api.md <<'PROMPT' >/dev/null
Write down how many visits there were.
STUB: run echo "visits: $(psql -Atc 'SELECT count(*) FROM visit')" >visits.txt
STUB: run git add visits.txt && git commit -qm 'Count the visits, with postgres'
STUB: say I counted the visits.
PROMPT
    as_user tee ../web.md <<'PROMPT' >/dev/null
Write down the answer.
STUB: run echo "the answer: $(redis-cli -h "$REDIS_HOST" GET answer)" >answer.txt
STUB: run git add answer.txt && git commit -qm 'Look up the answer, with redis'
STUB: say I looked up the answer.
PROMPT
}

demo_clean_up() {
    [ -d "$DEMO" ] || return 0
    # Silent unless something is left: after Ctrl-C nobody wants to read a report.
    if [ -f "$DEMO/shop/tanuki.yaml" ] && ! as_user tanuki down --volumes --yes </dev/null >"$DEMO/down.log" 2>&1; then
        cat "$DEMO/down.log" >&2
        say "the sample project's containers may still be there: look for the label dev.tanuki.managed"
    fi
    rm -rf "$DEMO"
}

demo() {
    local began tenths victim agent
    ENGINE=$1 BOLD='' DIM='' PLAIN=''
    if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then BOLD=$'\e[1m' DIM=$'\e[2m' PLAIN=$'\e[0m'; fi

    "$HERE/engines.sh" up "$ENGINE" </dev/null
    local images=()
    if ! registry_answers; then
        say "no registry can be reached: using images made from Debian packages"
        images=(-e 's,image: postgres:.*,image: tanuki-test/postgres:15,'
            -e 's,image: redis:.*,image: tanuki-test/redis:7,')
        "$HERE/images.sh" "$ENGINE" </dev/null &
    fi
    say "building tanuki"
    cargo build --quiet --workspace --bins
    wait
    # One that holds an agent CLI.
    "$HERE/images.sh" agent "$ENGINE" </dev/null

    DEMO=$(mktemp -d)
    AT_END+=(demo_clean_up)
    mkdir "$DEMO/shop" "$DEMO/home" "$DEMO/bin"
    # A copy, because the rootless user may not be allowed to look into this directory.
    install -m 755 "$(target)/debug/tanuki" "$(target)/debug/model" "$DEMO/bin/"
    printf '[user]\n\tname = A Person\n\temail = person@example.org\n' >"$DEMO/home/.gitconfig"
    if [ "$ENGINE" = podman-rootless ]; then chown -R tanuki-rootless: "$DEMO"; fi

    note "A project is a directory in a git repository."
    step "git init --quiet --initial-branch main && tanuki init"
    if [ "${#images[@]}" -gt 0 ]; then
        as_user sed -i "${images[@]}" tanuki.yaml
    fi
    step "grep -v '^ *#' tanuki.yaml | grep -v '^$'"

    note "Done means healthy: postgres has answered a query over TCP."
    step "tanuki service start"
    step "tanuki service status"

    note "Clients run inside the service's container, on a terminal or on a pipe."
    step "echo 'CREATE TABLE visit (at timestamptz DEFAULT now()); INSERT INTO visit DEFAULT VALUES;' | tanuki service connect postgres"
    step "echo 'SET answer 42' | tanuki service connect redis"
    step "tanuki service env --from host"

    note "Kill the postgres server, hard."
    victim=$(pid_of "$(container_of postgres)")
    [ "${victim:-0}" -gt 1 ] || die "$ENGINE does not tell the process of postgres"
    printf '%s$ kill -9 %s%s\n' "$BOLD" "$victim" "$PLAIN"
    began=$(date +%s%N)
    # As root: a rootless container's processes belong to other ids than the user's.
    kill -KILL "$victim"
    await_recovery
    tenths=$((($(date +%s%N) - began) / 100000000))
    note "Healthy again after $((tenths / 10)).$((tenths % 10)) s, with its data."
    step "tanuki service status --wide"
    step "echo 'SELECT count(*) AS visits FROM visit;' | tanuki service connect postgres"
    step "tanuki events"

    note "Agents: a real agent CLI (codex), and a stand-in for its model, which does what the prompt spells out."
    agents_config
    step "git add . && git commit --quiet --message 'A shop' && tanuki service start model"
    for agent in api web; do
        step "tanuki spawn $agent"
        step "cat ../$agent.md"
        step "tanuki run $agent -f ../$agent.md"
    done
    step "tanuki list"
    note "Each worked in a clone and a container of its own, with the services in its environment."
    for agent in api web; do
        step "tanuki diff $agent"
        step "tanuki merge $agent"
    done
    step "git log --graph --oneline"
    step "cat visits.txt answer.txt"
    step "tanuki runs"
    step "tanuki remove --all --yes"

    note "Stop everything; the data goes too, because it is asked for."
    step "tanuki down --volumes --yes"
    note "That was Tanuki on $("$HERE/engines.sh" status "$ENGINE" | awk '{ print $4 }')."
}
