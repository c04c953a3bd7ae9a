#!/bin/sh
# The targets of a restore: whether they may be exchanged, the exchange itself, and the way back.
#
#   restore.sh plan        may the targets of SOURCES be replaced: safety, room; shows what will happen
#   restore.sh exchange    puts what was unpacked beside every target in its place
#   restore.sh exchanged   says on disk whether that happened
#   restore.sh undo        puts the former content back, whatever moment the run ended in
#   restore.sh tidy        after success: removes what is not needed; the former content stays if KEEP_PREVIOUS
#
# SOURCES: one folder per line. INTO: the folder that holds the targets; empty: where the sources came from.
#
# For a target T and the run's uid U the disk alone tells how far an exchange is, so that every action can be repeated:
#   T, T.new-U               not begun                    T.new-U, T.before-U    between the two renames
#   T, T.before-U            exchanged                    T                      not unpacked, undone, or tidied
# A missing T is made as an empty folder first: then there are no other cases. T.between-U is what somebody else made
# in T's place between the renames; it is kept. T.failed-U and T.gone-U are on their way out.
#
# It never knows: what is inside a backup, nor which one is restored.

set -eu
LC_ALL=C
export LC_ALL
unset CDPATH

readonly entry_bytes=4096
readonly margin_bytes=16777216
project=$(pwd -P)

say() {
    printf '%s\n' "$*"
}

complain() {
    printf '%s\n' "$*" >&2
}

fail() {
    complain "error: $*"
    exit 1
}

output() {
    printf '%s=%s\n' "$1" "$2" >> "$RUNBOOK_OUTPUT"
}

problem() {
    complain "error: $*"
    problems=$((problems + 1))
}

there() {
    [ -e "$1" ] || [ -L "$1" ]
}

# Removes a tree, also one with folders that their owner may not write.
remove() {
    if [ -d "$1" ] && [ ! -L "$1" ]; then
        chmod -R u+rwX -- "$1" || complain "note: not all of $1 could be made writable"
    fi
    rm -rf -- "$1"
}

# Makes a rename of $1 last over a power cut.
settle() {
    sync -- "${1%/*}/" || complain "note: the folder of $1 could not be synced: do not cut the power now"
}

mib() {
    say "$((($1 + 1048575) / 1048576)) MiB"
}

# Is path $1 the same as $2, or inside it?
inside() {
    case $1/ in
    "${2%/}"/*) return 0 ;;
    *) return 1 ;;
    esac
}

# Where a source is restored to, into $target. (Not by `$(...)` in an argument: there a killed tool would go unnoticed.)
find_target() {
    target=$(realpath -ms -- "$1")
    [ -z "${INTO:-}" ] || target=$(realpath -ms -- "$INTO/${target##*/}")
}

# Calls the function $1 with every target.
for_each_target() {
    while IFS= read -r source <&3; do
        [ -n "$source" ] || continue
        find_target "$source"
        "$1" "$target"
    done 3<<END
$SOURCES
END
}

# The nearest folder above $1 that exists.
standing_above() {
    above=$(dirname -- "$1")
    while [ ! -d "$above" ]; do
        above=$(dirname -- "$above")
    done
    say "$above"
}

# Is $1 a mount point, bind mounts as well? (mountinfo writes blanks and backslashes in octal.)
is_mount_point() {
    mount_name=$(say "$1" | sed 's/\\/\\134/g; s/ /\\040/g; s/\t/\\011/g')
    mounted=$(mount_name=$mount_name awk '$5 == ENVIRON["mount_name"]' /proc/self/mountinfo)
    [ -n "$mounted" ]
}

# Refuses targets without which this machine, this project or this run could not go on.
check_place() {
    real=$(realpath -m -- "${1%/*}/")
    real=${real%/}/${1##*/}
    daemon_data=$(realpath -m -- "$RUNBOOK_OUTPUT")
    elsewhere="Restore it beside first: -i into=/some/where"
    case $real in
    / | // | /bin | /boot | /dev | /etc | /lib | /lib32 | /lib64 | /proc | /run | /sbin | /sys | /tmp | /usr | /var)
        problem "$1 is a folder that the running system stands on: it cannot be exchanged under it. $elsewhere"
        return
        ;;
    esac
    if inside "$project" "$real"; then
        problem "$1 holds the project folder $project, in which this run works. $elsewhere"
    elif inside "$backups" "$real"; then
        problem "$1 holds the repository $backups: the backup would be moved away while it is read. $elsewhere"
    elif inside "$real" "$backups"; then
        problem "$1 lies inside the repository $backups: that is for backups alone. $elsewhere"
    elif inside "$daemon_data" "$real"; then
        problem "$1 holds the daemon's own data. $elsewhere"
    elif [ -L "$1" ]; then
        problem "$1 is a symbolic link to $(readlink -- "$1"): an exchange would replace the link, not the folder. $elsewhere"
    elif is_mount_point "$real"; then
        problem "$1 is a mount point: it cannot be renamed. $elsewhere, then move the content"
    fi
    while IFS= read -r other; do
        [ -n "$other" ] || continue
        if inside "$real" "$other" || inside "$other" "$real"; then
            problem "the targets $real and $other overlap: restore them one after the other, -i 'source=[\"...\"]'"
        fi
    done <<END
$targets
END
    targets="$targets$real
"
}

# Adds what target $1 needs, unpacked from archive $2, to $needs: file system, bytes, folder.
check_room() {
    above=$(standing_above "$1")
    [ -w "$above" ] || problem "$(id -un) may not write in $above, where $1 is to be exchanged"
    # What is missing in the backup is told by who compares its hashes.
    [ -f "$FOLDER/$2.manifest" ] && [ -f "$FOLDER/$2.tar" ] || return 0
    entries=$(wc -l < "$FOLDER/$2.manifest")
    size=$(($(stat -c %s -- "$FOLDER/$2.tar") + entries * entry_bytes))
    needs="$needs$(stat -c %d -- "$above") $size $above
"
}

# Adds up what is needed per file system, and compares it with what is free there.
compare_room() {
    seen=" "
    while read -r device _ above; do
        [ -n "$device" ] || continue
        case "$seen" in
        *" $device "*) continue ;;
        esac
        seen="$seen$device "
        need=$(say "$needs" | awk -v device="$device" '$1 == device { sum += $2 } END { printf "%.0f", sum }')
        need=$((need + margin_bytes))
        free=$(stat -f -c '%a %S' -- "$above")
        free=$((${free% *} * ${free#* }))
        blocks=$(stat -f -c %b -- "$above")
        # A file system of no blocks at all does not count them.
        [ "$blocks" -eq 0 ] || [ "$free" -ge "$need" ] ||
            problem "no room in $above: to unpack beside the old content takes about $(mib "$need"), $(mib "$free") are free"
    done <<END
$needs
END
}

show_target() {
    if there "$1"; then
        say "  $1: the content of today goes to $1.before-$RUNBOOK_RUN_UID"
    else
        say "  $1: is not there now, and is made"
    fi
}

plan() {
    problems=0
    targets=
    needs=
    backups=$(realpath -m -- "$REPOSITORY")
    # shellcheck disable=SC2086 # stems have no blanks: the blanks separate them
    set -- $STEMS
    while IFS= read -r source <&3; do
        [ -n "$source" ] || fail "a source is empty text"
        [ "$#" -gt 0 ] || fail "there are more sources than archives"
        find_target "$source"
        check_place "$target"
        check_room "$target" "$1"
        shift
    done 3<<END
$SOURCES
END
    compare_room
    [ "$problems" -eq 0 ] || fail "$problems problem(s), see above. Nothing was done."
    say "to be restored from ${FOLDER##*/}:"
    for_each_target show_target
}

exchange_one() {
    new=$1.new-$RUNBOOK_RUN_UID
    before=$1.before-$RUNBOOK_RUN_UID
    between=$1.between-$RUNBOOK_RUN_UID
    if there "$new"; then
        there "$1" || there "$before" || mkdir -- "$1"
        if ! there "$before"; then
            mv -T -- "$1" "$before"
        elif there "$1"; then
            # Not ours: made by somebody while the place was free.
            ! there "$between" || fail "something makes $1 again and again: stop it, then: runbook resume $RUNBOOK_RUN"
            mv -T -- "$1" "$between"
            say "note: something made $1 in the middle of the exchange; that is in $between now"
        fi
        mv -T -- "$new" "$1"
    elif ! there "$before" || ! there "$1"; then
        fail "nothing is unpacked beside $1 any more: it was undone. Start a new run: runbook exec dr-restore"
    fi
    settle "$1"
    say "exchanged $1"
}

exchanged_one() {
    if there "$1.new-$RUNBOOK_RUN_UID" || ! there "$1.before-$RUNBOOK_RUN_UID" || ! there "$1"; then
        happened=no
    fi
}

exchanged() {
    happened=yes
    for_each_target exchanged_one
    output happened "$happened"
}

gone_one() {
    if there "$1.gone-$RUNBOOK_RUN_UID"; then
        fail "the former content of $1 is already being removed, so the restore stays"
    fi
}

# What one target cannot do must not hinder the others.
undo_one() {
    if there "$1.before-$RUNBOOK_RUN_UID"; then
        if there "$1.new-$RUNBOOK_RUN_UID"; then
            # Between the renames: what stands in the place, if anything, is somebody else's.
            if there "$1"; then
                mv -T -- "$1" "$1.between-$RUNBOOK_RUN_UID" || problem "$1 could not be moved away"
                say "note: something made $1 in the middle of the exchange; that is in $1.between-$RUNBOOK_RUN_UID now"
            fi
        elif there "$1"; then
            mv -T -- "$1" "$1.failed-$RUNBOOK_RUN_UID" || problem "$1 could not be moved away"
        fi
        if there "$1"; then
            problem "the former content of $1 is in $1.before-$RUNBOOK_RUN_UID: move it back by hand"
        else
            mv -T -- "$1.before-$RUNBOOK_RUN_UID" "$1" || problem "$1.before-$RUNBOOK_RUN_UID could not be moved back"
            settle "$1"
            say "undone: $1 has its former content again"
        fi
    else
        say "$1 is as it was"
    fi
    for leftover in failed new work; do
        remove "$1.$leftover-$RUNBOOK_RUN_UID" || problem "$1.$leftover-$RUNBOOK_RUN_UID could not be removed"
    done
}

undo() {
    problems=0
    for_each_target gone_one
    for_each_target undo_one
    [ "$problems" -eq 0 ] || fail "$problems problem(s), see above: they need a person"
    say "nothing is lost. Try again when the reason above is gone: runbook exec dr-restore"
}

release_one() {
    before=$1.before-$RUNBOOK_RUN_UID
    if [ "$KEEP_PREVIOUS" = true ]; then
        if [ -d "$before" ] && [ ! -L "$before" ]; then
            rmdir --ignore-fail-on-non-empty -- "$before"
        fi
        ! there "$before" || say "the former content is kept. When it is not needed any more: rm -r $before"
    elif there "$before"; then
        mv -T -- "$before" "$1.gone-$RUNBOOK_RUN_UID"
    fi
    say "restored $1"
}

sweep_one() {
    remove "$1.gone-$RUNBOOK_RUN_UID"
    remove "$1.work-$RUNBOOK_RUN_UID"
}

tidy() {
    for_each_target release_one
    for_each_target sweep_one
}

: "${SOURCES?}" "${RUNBOOK_RUN_UID:?}" "${RUNBOOK_OUTPUT:?}"
case ${1-} in
plan)
    : "${FOLDER:?}" "${STEMS:?}" "${REPOSITORY:?}"
    plan
    ;;
exchange) for_each_target exchange_one ;;
exchanged) exchanged ;;
undo) undo ;;
tidy)
    : "${KEEP_PREVIOUS:?}"
    tidy
    ;;
*) fail "what to do? plan, exchange, exchanged, undo or tidy" ;;
esac
