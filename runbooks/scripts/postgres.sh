#!/bin/sh
# A PostgreSQL in a folder of its own, without network and password: whoever may enter the folder of its socket may use it.
# Processes of a step end with the step, so a server is started for as long as a command needs it; one that is up is used.
#
#   postgres.sh make          makes the cluster in CLUSTER, if there is none
#   postgres.sh with CMD…     runs a command with PGHOST, PGPORT and PGUSER of the server of CLUSTER
#   postgres.sh rows NAME     gives the output `rows`: how many rows each table of a database has
#
# It never knows: what is in the databases, backups.
# Exit codes: those of the command; 1 where there is no server to be had.

set -eu
LC_ALL=C
export LC_ALL
umask 077

readonly user=stack

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

stop() {
    as_somebody pg_ctl stop --pgdata="$CLUSTER" --mode=fast --silent || true
    rm -rf -- "$sockets"
}

with() {
    [ -f "$CLUSTER/PG_VERSION" ] || fail "there is no PostgreSQL cluster in $CLUSTER"
    if ! as_somebody pg_ctl status --pgdata="$CLUSTER" > /dev/null 2>&1; then
        sockets=$(mktemp -d)
        trap stop EXIT
        trap 'exit 143' TERM
        trap 'exit 130' INT
        as_somebody pg_ctl start --pgdata="$CLUSTER" --silent --wait --log="$CLUSTER/server.log" \
            --options="-c listen_addresses='' -c unix_socket_directories='$sockets'" || {
            tail -n 5 -- "$CLUSTER/server.log" >&2
            fail "PostgreSQL does not start, see above"
        }
    fi
    # Lines 4 and 5 of the server's own file: its port, and the folder of its socket.
    PGPORT=$(sed -n 4p "$CLUSTER/postmaster.pid")
    PGHOST=$(sed -n 5p "$CLUSTER/postmaster.pid")
    PGUSER=$user
    export PGPORT PGHOST PGUSER
    "$@"
}

rows() {
    with psql --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --dbname="$1" --output="$RUNBOOK_OUTPUT" <<'END'
select 'rows=' || coalesce(json_object_agg(name, number order by name), '{}')
from (
    select schemaname || '.' || tablename as name,
        (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from %I.%I', schemaname, tablename), false, true, '')))[1]::text::bigint
            as number
    from pg_tables where schemaname not in ('pg_catalog', 'information_schema')
) as tables;
END
}

case ${1:-} in
make) make ;;
rows) rows "$2" ;;
with)
    shift
    with "$@"
    ;;
*) fail "unknown: ${1:-nothing}; it takes make, with or rows" ;;
esac
