#!/bin/sh
# The folder of all backups: what may go in, which one is wanted, what comes in, what goes out.
#
#   repository.sh preflight   can SOURCES be backed up into REPOSITORY: tools, sources, room; names the backup
#   repository.sh choose      finds BACKUP (empty: the newest proved one) that has all SOURCES (empty: any)
#   repository.sh publish     moves the packed and proved backup NAME to its place, by one rename
#   repository.sh published   says on disk whether that happened
#   repository.sh retain      removes old backups of the same sources: KEEP_LAST, KEEP_DAILY, KEEP_WEEKLY stay
#   repository.sh clean       removes what this run has staged, and what dead runs have left for a week
#
# SOURCES: one folder per line. SOURCE_COUNT: how many there are.
# REPOSITORY/<UTC time>-<run uid>/ is a backup, REPOSITORY/.staging/<run uid>/ belongs to one run. A backup appears
# and disappears by a rename, so that there is never half a one. It counts while it holds PROVED.
#
# It never knows: what an archive or manifest looks like inside, nor targets of a restore.

set -eu
LC_ALL=C
export LC_ALL
unset CDPATH
umask 077

readonly leftovers_after_days=7
readonly listed_at_most=10
readonly entry_bytes=4096
readonly margin_bytes=16777216
tab=$(printf '\t')
project=$(pwd -P)
export project
# What a command that is shown needs as well.
same_repository=
[ "${REPOSITORY:-.runbook/backups}" = .runbook/backups ] || same_repository=" -i repository='$REPOSITORY'"
same_sources=
case ${SOURCES-} in
'' | "$(printf 'infrastructure\nrunbooks')") ;;
*) same_sources=" -i 'source=[$(printf '%s\n' "$SOURCES" | sed 's/[\\"]/\\&/g; s/.*/"&"/' | paste -s -d ,)]'" ;;
esac

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

# Removes a tree, also one with folders that their owner may not write.
remove() {
    if [ -d "$1" ] && [ ! -L "$1" ]; then
        chmod -R u+rwX -- "$1" || complain "note: not all of $1 could be made writable"
    fi
    rm -rf -- "$1"
}

mib() {
    say "$((($1 + 1048575) / 1048576)) MiB"
}

# All problems of a pre-flight are shown at once.
problem() {
    complain "error: $*"
    problems=$((problems + 1))
}

# Is folder $1 the same as $2, or inside it?
inside() {
    case $1/ in
    "${2%/}"/*) return 0 ;;
    *) return 1 ;;
    esac
}

# SOURCES has a line for each source: one with a newline in it would be taken for two other folders.
check_lines() {
    [ "$SOURCE_COUNT" -gt 0 ] || fail "no source is named: which folders? -i 'source=[\"...\"]'"
    lines=$(say "$SOURCES" | wc -l)
    [ "$lines" -eq "$SOURCE_COUNT" ] ||
        fail "a source has a newline in its name, and no backup can name such a folder: $1 the folder above it. Nothing was done."
}

check_tools() {
    for tool in awk chmod cmp comm cut date dirname find id mkdir mv paste realpath rm sed sha256sum sleep sort \
        stat sync tar tr uname wc xargs; do
        command -v "$tool" > /dev/null || problem "the tool $tool is not on PATH ($PATH)"
    done
    version=$(tar --version)
    case $version in
    *GNU*) ;;
    *) problem "tar is not GNU tar: install GNU tar, and have it first on PATH" ;;
    esac
}

# Checks source $1; adds what it needs to $bytes and $entries, and its path to $paths.
check_source() {
    if [ -z "$1" ]; then
        problem "a source is empty text"
        return
    fi
    case $1 in
    *"$tab"*)
        problem "the source $1 has a tab in its name: back up the folder above it"
        return
        ;;
    esac
    path=$(realpath -ms -- "$1")
    if [ -L "$path" ]; then
        problem "the source $1 is a symbolic link to $(readlink -- "$path"): name that folder itself"
    elif [ ! -e "$path" ]; then
        problem "the source $1 does not exist (looked for $path)"
    elif [ ! -d "$path" ]; then
        problem "the source $1 is not a folder: back up the folder that holds it"
    else
        real=$(realpath -- "$path")
        if inside "$REPOSITORY" "$real"; then
            problem "the repository $REPOSITORY lies inside the source $1: choose another one, -i repository=/some/where"
            return
        fi
        if inside "$real" "$REPOSITORY"; then
            problem "the source $1 lies inside the repository $REPOSITORY"
            return
        fi
        while IFS= read -r other; do
            [ -n "$other" ] || continue
            if inside "$real" "$other" || inside "$other" "$real"; then
                problem "the sources $real and $other overlap: name one of them"
                return
            fi
        done <<END
$paths
END
        paths="$paths$real
"
        measure_source "$1" "$path"
    fi
}

measure_source() {
    hidden=$(find "$2" -ignore_readdir_race \( -type d ! \( -readable -executable \) -prune -o -type f ! -readable \) -print -quit)
    if [ -n "$hidden" ]; then
        problem "$(id -un) may not read $hidden, and perhaps more in $1"
        return
    fi
    measured=$(find "$2" -ignore_readdir_race -printf '%b\n' | awk '{ blocks += $1 } END { printf "%.0f %.0f", blocks * 512, NR }')
    bytes=$((bytes + ${measured% *}))
    entries=$((entries + ${measured#* }))
    if [ "${measured#* }" -eq 1 ] && [ "$ALLOW_EMPTY" != true ]; then
        problem "the source $1 is empty: that looks like a loss, not like something to keep. If it is right: -i allow_empty=true"
    fi
}

# The archive and its unpacked copy stand side by side for a while.
check_room() {
    need=$((2 * (bytes + entries * entry_bytes) + margin_bytes))
    room=$(stat -f -c '%a %S %c %d %b' -- "$REPOSITORY")
    # shellcheck disable=SC2086 # five numbers
    set -- $room
    free=$(($1 * $2))
    # A file system of no blocks at all, or of no inodes, does not count them.
    [ "$5" -eq 0 ] || [ "$free" -ge "$need" ] ||
        problem "no room in $REPOSITORY: archive and proof need about $(mib "$need"), $(mib "$free") are free. Make room, or: -i repository=/some/where"
    [ "$3" -eq 0 ] || [ "$4" -gt "$entries" ] ||
        problem "no room in $REPOSITORY: $entries files to unpack for the proof, only $4 inodes are free"
}

# Makes the repository's folder. Inside the project it may be wholly new; elsewhere a missing parent is more likely a
# disk that is not mounted.
make_repository() {
    [ -d "$REPOSITORY" ] && return
    parent=$(dirname -- "$REPOSITORY")
    if ! inside "$REPOSITORY" "$project" && [ ! -d "$parent" ]; then
        fail "there is no folder $parent for the repository: is its disk mounted? If it is to be new: mkdir -p '$parent'"
    fi
    mkdir -p -- "$REPOSITORY" || fail "the repository $REPOSITORY cannot be made, see above"
    say "the repository $REPOSITORY is new"
}

# The time in the name of a new backup, into $stamp. The order of the names is that of the backups, so that no two may
# be of one second.
find_stamp() {
    stamp=$(date -u +%Y%m%dT%H%M%SZ)
    while taken "$REPOSITORY/$stamp"-*; do
        sleep 0.1
        stamp=$(date -u +%Y%m%dT%H%M%SZ)
    done
}

# Is there anything of this name? (A pattern that nothing fits stays as it is.)
taken() {
    [ -e "$1" ]
}

preflight() {
    problems=0
    bytes=0
    entries=0
    paths=
    check_lines "back up"
    check_tools
    make_repository
    mkdir -p -- "$staging" || fail "$(id -un) may not write in the repository $REPOSITORY"
    while IFS= read -r source; do
        check_source "$source"
    done <<END
$SOURCES
END
    check_room
    [ "$problems" -eq 0 ] || fail "$problems problem(s), see above. Nothing was done."
    find_stamp
    new=$stamp-$RUNBOOK_RUN_UID
    device=$(stat -c %d -- "$REPOSITORY")
    while IFS= read -r other; do
        if [ "$(stat -c %d -- "$other")" = "$device" ]; then
            say "note: $other and the repository are on one file system: a lost disk takes both. Copy it elsewhere, too"
            break
        fi
    done <<END
${paths%?}
END
    output name "$new"
    output repository "$REPOSITORY"
    output estimated_bytes "$bytes"
    say "ready: about $(mib "$bytes") in $entries paths, into $REPOSITORY/$new"
}

# All backups, oldest first, one folder per line.
backups() {
    for folder in "$REPOSITORY"/[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z-*; do
        [ ! -d "$folder" ] || say "$folder"
    done
}

state_of() {
    if [ -f "$1/PROVED" ]; then
        say proved
    elif [ -f "$1/DAMAGED" ]; then
        say DAMAGED
    else
        say "not proved"
    fi
}

list_backups() {
    all=$(backups)
    if [ -z "$all" ]; then
        complain "There is no backup in $REPOSITORY."
        return
    fi
    complain "The newest backups in $REPOSITORY:"
    say "$all" | tail -n "$listed_at_most" | while IFS= read -r folder; do
        complain "  ${folder##*/}  $(state_of "$folder")  $(cut -f 3 "$folder/SOURCES" | paste -s -d ' ')"
    done
}

# The name under which a source is kept: relative inside the project folder, else absolute.
name_of() {
    name_path=$(realpath -ms -- "$1")
    case $1 in
    /*) ;;
    *) name_path=${name_path#"$project"/} ;;
    esac
    say "$name_path"
}

# The archives in backup $1 of all that is $wanted, in its order; nothing if one is not there. Nothing wanted: all.
stems_in() {
    [ -f "$1/SOURCES" ] || return 0
    awk -F '\t' '
        { stem[$3] = $2; stem[ENVIRON["project"] "/" $3] = $2; all = all " " $2; path[$4] = $2 }
        END {
            count = split(ENVIRON["wanted"], name, "\n")
            for (i = 1; i <= count; i++) {
                if (name[i] == "") continue
                if (name[i] in stem) found = found " " stem[name[i]]
                else if (name[i] in path) found = found " " path[name[i]]
                else exit
            }
            print substr(found == "" ? all : found, 2)
        }' "$1/SOURCES"
}

# How long ago backup $1 was made, in words.
age_of() {
    made=${1##*/}
    made=$(printf '%.15s' "$made" | sed 's/^\(....\)\(..\)\(..\)T\(..\)\(..\)\(..\)$/\1-\2-\3 \4:\5:\6/')
    hours=$((($(date -u +%s) - $(date -u -d "$made" +%s)) / 3600))
    if [ "$hours" -lt 72 ]; then
        say "made $made UTC, $hours hour(s) ago"
    else
        say "made $made UTC, $((hours / 24)) days ago"
    fi
}

choose_named() {
    case $BACKUP in
    */* | .*) fail "a backup is named by its folder's name alone, not $BACKUP" ;;
    esac
    chosen=$REPOSITORY/$BACKUP
    if [ ! -d "$chosen" ]; then
        list_backups
        fail "there is no backup $BACKUP in $REPOSITORY"
    fi
    stems=$(stems_in "$chosen")
    if [ -z "$stems" ]; then
        list_backups
        fail "the backup $BACKUP does not have all of: $(say "$wanted" | paste -s -d ' ')"
    fi
}

# The newest backup that is proved and has what is wanted; newer ones that are passed over are named.
choose_newest() {
    all=$(backups)
    while IFS= read -r folder; do
        [ -n "$folder" ] || continue
        state=$(state_of "$folder")
        found=$(stems_in "$folder")
        if [ "$state" != proved ]; then
            passed_over="${passed_over}note: ${folder##*/} is newer, but $state
"
        elif [ -n "$found" ]; then
            chosen=$folder
            stems=$found
            passed_over=
        else
            passed_over="${passed_over}note: ${folder##*/} is newer, but does not have all of: $(say "$wanted" | paste -s -d ' ')
"
        fi
    done <<END
$all
END
}

choose() {
    [ -d "$REPOSITORY" ] || fail "there is no repository $REPOSITORY: is its disk mounted? Another one: -i repository=/some/where"
    [ -z "${SOURCES+set}" ] || check_lines restore
    [ -n "${SOURCES-unset}" ] || fail "a source is empty text"
    wanted=$(while IFS= read -r source; do
        [ -z "$source" ] || name_of "$source"
    done <<END
${SOURCES:-}
END
)
    export wanted
    chosen=
    passed_over=
    if [ -n "${BACKUP:-}" ]; then
        choose_named
    else
        choose_newest
    fi
    if [ -z "$chosen" ]; then
        list_backups
        fail "no proved backup in $REPOSITORY${wanted:+ of: $(say "$wanted" | paste -s -d ' ')}. Look elsewhere: -i repository=/some/where; make one: runbook exec backup$same_repository$same_sources"
    fi
    printf %s "$passed_over"
    state=$(state_of "$chosen")
    case $state/${ALLOW_DAMAGED:-no} in
    proved/* | DAMAGED/yes) ;;
    DAMAGED/*)
        fail "the backup ${chosen##*/} is DAMAGED. What is wrong with it: runbook exec verify-backup -i backup=${chosen##*/}$same_repository"
        ;;
    *) fail "the backup ${chosen##*/} has no proof: it is not whole, or was copied without PROVED. Take another one" ;;
    esac
    say "the backup ${chosen##*/}, $(age_of "$chosen"), $state, from $(sed -n 's/^host=//p' "$chosen/METADATA")"
    output backup "${chosen##*/}"
    output folder "$chosen"
    output stems "$stems"
}

publish() {
    place=$REPOSITORY/$NAME
    if [ ! -d "$place" ]; then
        [ -f "$staging/backup/PROVED" ] ||
            fail "nothing proved to publish: what this run packed is gone. Start a new one: runbook exec backup$same_repository$same_sources"
        mv -T -- "$staging/backup" "$place"
        sync -- "$REPOSITORY"
    fi
    say "published $place"
    say "to restore it: runbook exec dr-restore -i backup=$NAME$same_repository$same_sources"
    published_outputs
}

published_outputs() {
    output path "$REPOSITORY/$NAME"
    files=$(sed -n 's/^files=//p' "$REPOSITORY/$NAME/METADATA")
    bytes=$(sed -n 's/^bytes=//p' "$REPOSITORY/$NAME/METADATA")
    output files "$files"
    output bytes "$bytes"
}

published() {
    if [ -f "$REPOSITORY/$NAME/PROVED" ]; then
        output happened yes
        published_outputs
    else
        output happened no
    fi
}

# The proved backups of the same sources as NAME, newest first: name, day, week.
peers() {
    cut -f 2,3 "$REPOSITORY/$NAME/SOURCES" > "$staging/same"
    backups > "$staging/backups"
    : > "$staging/names"
    while IFS= read -r folder; do
        cut -f 2,3 "$folder/SOURCES" > "$staging/other" || continue
        cmp -s "$staging/same" "$staging/other" || continue
        case $(state_of "$folder") in
        proved) say "${folder##*/}" >> "$staging/names" ;;
        *) say "note: ${folder##*/} is $(state_of "$folder"). It is not counted, and left to you: rm -r $folder" ;;
        esac
    done < "$staging/backups"
    sort -r -o "$staging/names" "$staging/names"
    sed 's/^\(....\)\(..\)\(..\)T.*$/\1-\2-\3/' "$staging/names" > "$staging/days"
    date -u -f "$staging/days" +%G-W%V > "$staging/weeks"
    paste "$staging/names" "$staging/days" "$staging/weeks" > "$staging/peers"
}

retain() {
    [ -f "$REPOSITORY/$NAME/PROVED" ] || fail "the backup $NAME is not in $REPOSITORY any more: nothing is removed"
    mkdir -p -- "$staging/removed"
    peers
    # The newest one, and the one just made, stay whatever is asked.
    awk -F '\t' -v last="$KEEP_LAST" -v daily="$KEEP_DAILY" -v weekly="$KEEP_WEEKLY" '
        {
            keep = NR == 1 || NR <= last || $1 == ENVIRON["NAME"]
            if (!($2 in day)) { day[$2]; if (++days <= daily) keep = 1 }
            if (!($3 in week)) { week[$3]; if (++weeks <= weekly) keep = 1 }
            if (!keep) print $1
        }' "$staging/peers" > "$staging/old"
    removed=0
    while IFS= read -r old; do
        if ! mv -T -- "$REPOSITORY/$old" "$staging/removed/$old"; then
            complain "note: $old stays"
            continue
        fi
        remove "$staging/removed/$old"
        removed=$((removed + 1))
        say "removed $old"
    done < "$staging/old"
    kept=$(wc -l < "$staging/peers")
    kept=$((kept - removed))
    output kept "$kept"
    output removed "$removed"
    say "kept $kept proved backup(s) of these sources, removed $removed"
    say "done: $REPOSITORY/$NAME is proved. To restore: runbook exec dr-restore$same_repository$same_sources"
}

clean() {
    [ -d "$REPOSITORY/.staging" ] || return 0
    remove "$staging"
    find "$REPOSITORY/.staging" -mindepth 1 -maxdepth 1 -mtime "+$leftovers_after_days" -print |
        while IFS= read -r leftover; do
            say "removed what a dead run left: $leftover"
            remove "$leftover"
        done
    rmdir --ignore-fail-on-non-empty -- "$REPOSITORY/.staging"
}

: "${RUNBOOK_RUN_UID:?}" "${RUNBOOK_OUTPUT:?}"
if [ -n "${REPOSITORY:-}" ]; then
    REPOSITORY=$(realpath -m -- "$REPOSITORY")
elif [ "${1-}" != clean ]; then
    fail "no repository is named: a backup that goes nowhere is none. -i repository=/some/where"
else
    # Without a repository nothing was staged.
    exit 0
fi
staging=$REPOSITORY/.staging/$RUNBOOK_RUN_UID
case ${1-} in
preflight)
    : "${ALLOW_EMPTY:?}" "${SOURCE_COUNT:?}"
    preflight
    ;;
choose) choose ;;
publish | published)
    : "${NAME:?}"
    "$1"
    ;;
retain)
    : "${NAME:?}" "${KEEP_LAST:?}" "${KEEP_DAILY:?}" "${KEEP_WEEKLY:?}"
    retain
    ;;
clean) clean ;;
*) fail "what to do? preflight, choose, publish, published, retain or clean" ;;
esac
