#!/bin/sh
# A PostgreSQL in a folder of its own, without network and password: whoever may enter the folder of its socket may use it.
# Processes of a step end with the step, so a server is started for as long as a command needs it; one that is up is used.
#
#   postgres.sh make          makes the cluster in CLUSTER, if there is none
#   postgres.sh with CMD…     runs a command with PGHOST, PGPORT and PGUSER of the server of CLUSTER
#   postgres.sh load ARG…     the same with pg_restore; where a dump is refused it says REFUSED: what to do about it
#   postgres.sh rows NAME     gives the output `rows`: how many rows each table of a database has
#
# It never knows: what is in the databases, backups.
# Exit codes: those of the command; 75 where the server went away meanwhile, whatever it had done until then; 1 where there is
# no server to be had.

set -eu
LC_ALL=C
export LC_ALL
umask 077

readonly user=stack
readonly gone=75
# No process has so high a number.
readonly nobody=2147483647
# A server that was killed mends its files before it answers, however long that takes: the step's timeout comes sooner than this.
readonly patience=86400

CLUSTER=$(realpath -m -- "$CLUSTER")

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# PostgreSQL refuses to run as root. In a user namespace of its own it is somebody else, and its files stay root's.
as_somebody() {
    if [ "$(id -u)" -eq 0 ]; then
        unshare --user --map-user=65534 --map-group=65534 -- "$@"
    else
        "$@"
    fi
}

make() {
    if [ -f "$CLUSTER/PG_VERSION" ]; then
        echo "the cluster is there, of version $(cat "$CLUSTER/PG_VERSION")"
        return
    fi
    # A cluster appears whole or not at all: initdb refuses what a killed one left.
    rm -rf -- "$CLUSTER.new"
    mkdir -p -- "$CLUSTER.new"
    as_somebody initdb --pgdata="$CLUSTER.new" --username="$user" --auth=trust --encoding=UTF8 --no-locale --no-instructions
    mv -T -- "$CLUSTER.new" "$CLUSTER"
    sync -- "$CLUSTER" "${CLUSTER%/*}"
}

# Whether the process that the server's own file names is one. The file outlives a server that was killed, and the number may be
# somebody else's by now: a server stands in its folder.
is_up() {
    pid=
    [ -f "$CLUSTER/postmaster.pid" ] || return 1
    pid=$(sed -n '1s/^-*//p' "$CLUSTER/postmaster.pid")
    [ -n "$pid" ] && [ "$(readlink -- "/proc/$pid/cwd")" = "$CLUSTER" ]
}

stop() {
    if is_up; then
        as_somebody pg_ctl stop --pgdata="$CLUSTER" --mode="$mode" --silent || true
    fi
    rm -rf -- "$sockets"
}

start() {
    # PostgreSQL does not start beside a living process of that number. The rest of the file stays: by it PostgreSQL sees whether
    # processes that a killed server left still use its memory.
    [ -z "$pid" ] || sed -i "1s/.*/$nobody/" "$CLUSTER/postmaster.pid"
    mode=fast
    sockets=$(mktemp -d)
    trap stop EXIT
    trap 'exit 143' TERM
    trap 'exit 130' INT
    as_somebody pg_ctl start --pgdata="$CLUSTER" --silent --wait --timeout=$patience --log="$CLUSTER/server.log" \
        --options="-c listen_addresses='' -c unix_socket_directories='$sockets'" || {
        tail -n 5 -- "$CLUSTER/server.log" >&2
        fail "PostgreSQL does not start, see above"
    }
}

# Puts the server at hand: one that is up, or one that is on until the script ends.
serve() {
    [ -f "$CLUSTER/PG_VERSION" ] || fail "there is no PostgreSQL cluster in $CLUSTER"
    is_up || start
    # Lines 4 and 5 of the server's own file: its port, and the folder of its socket.
    PGPORT=$(sed -n 4p "$CLUSTER/postmaster.pid")
    PGHOST=$(sed -n 5p "$CLUSTER/postmaster.pid")
    PGUSER=$user
    export PGPORT PGHOST PGUSER
}

# Whether it answers, and has not begun again since a time: where one of its processes is killed, it does so by itself.
answers_since() {
    psql --no-psqlrc --quiet --no-align --tuples-only --dbname=postgres --command="
        select 'yes' from pg_stat_activity where backend_type = 'checkpointer' and backend_start <= to_timestamp($1)" | grep -qx yes
}

# Runs a command. Most say the same of a server that went away as of what it refuses.
run() {
    began=$(date +%s.%N)
    code=0
    "$@" || code=$?
    if [ "$code" -ne 0 ] && ! answers_since "$began"; then
        [ -z "${sockets:-}" ] || tail -n 5 -- "$CLUSTER/server.log" >&2
        echo "error: PostgreSQL went away meanwhile, and its log may say why; it may be tried again" >&2
        code=$gone
        # One that begins again by itself may wait for ever where it is told to end in order.
        mode=immediate
    fi
    return "$code"
}

rows() {
    run psql --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --dbname="$1" --output="$RUNBOOK_OUTPUT" <<'END'
select 'rows=' || coalesce(json_object_agg(name, number order by name), '{}')
from (
    select schemaname || '.' || tablename as name,
        (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from %I.%I', schemaname, tablename), false, true, '')))[1]::text::bigint
            as number
    from pg_tables where schemaname not in ('pg_catalog', 'information_schema')
) as tables;
END
}

load() {
    ended=0
    run pg_restore --exit-on-error --clean --if-exists "$@" || ended=$?
    [ "$ended" -ne 1 ] || echo "error: the dump is not loaded, for the reason above: ${REFUSED:-mend what it names, or take another dump}" >&2
    return "$ended"
}

case ${1:-} in
make) make ;;
rows)
    serve
    rows "$2"
    ;;
load)
    shift
    serve
    load "$@"
    ;;
with)
    shift
    serve
    run "$@"
    ;;
*) fail "unknown: ${1:-nothing}; it takes make, with, load or rows" ;;
esac
