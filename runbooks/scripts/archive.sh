#!/bin/sh
# One backup folder: packs folders into archives with manifests, proves them, unpacks and compares.
#
#   archive.sh pack     packs SOURCES into FOLDER, as the backup NAME
#   archive.sh prove    hashes of FOLDER, then every archive unpacked into WORK and compared; writes the proof
#   archive.sh hashes   compares FOLDER with the hashes in its proof
#   archive.sh unpack   unpacks STEMS of FOLDER beside the targets of SOURCES, and compares
#   archive.sh check    compares the targets of SOURCES with the manifests of STEMS in FOLDER
#
# SOURCES: one folder per line. STEMS: the names of their archives, in the same order, separated by spaces.
# INTO: the folder that holds the targets; empty: where the sources came from. WORK: a folder for work files.
#
# A backup folder holds, for every source, STEM.tar and STEM.manifest; SOURCES (number, stem, name, path; by tabs),
# METADATA, README, and PROVED: the hashes of all these, written only after the archives were unpacked and found equal
# to their manifests. DAMAGED instead of PROVED: a later proof found that the hashes do not fit any more.
# A manifest has one line per path, sorted: type, mode, size, owner, sha256, path, link; by tabs.
#
# It never knows: repositories and retention, which backup is wanted, how folders are exchanged.
# Exit codes: 1 failed or refused, 3 the backup is damaged, 75 the sources changed meanwhile (worth another try).

set -eu
LC_ALL=C
export LC_ALL
unset CDPATH
umask 077

readonly damaged=3
readonly changed=75
readonly killed=137
readonly shown_at_most=20
readonly little_room_mib=16
tab=$(printf '\t')
project=$(pwd -P)
as_root=$(id -u)
as_root=$((as_root == 0))
# What a command that is shown needs as well.
same_repository=
[ "${REPOSITORY:-.runbook/backups}" = .runbook/backups ] || same_repository=" -i repository='$REPOSITORY'"

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

# Runs a command with `set -e` in force inside, and leaves its exit code in $status.
attempt() {
    set +e
    (
        set -e
        "$@"
    )
    status=$?
    set -e
}

# Removes a tree, also one with folders that their owner may not write.
remove() {
    if [ -d "$1" ] && [ ! -L "$1" ]; then
        chmod -R u+rwX -- "$1" || complain "note: not all of $1 could be made writable"
    fi
    rm -rf -- "$1"
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

# Where a source is restored to, into $target. (Not by `$(...)` in an argument: there a killed tool would go unnoticed.)
find_target() {
    target=$(realpath -ms -- "$1")
    [ -z "${INTO:-}" ] || target=$(realpath -ms -- "$INTO/${target##*/}")
}

# NUL-separated records in $1 become lines in $2; what would break or disguise a line is escaped.
lines() {
    sed -z 's/\\/\\\\/g; s/\n/\\n/g; s/\t/\\t/g; s/\r/\\r/g; s/\x1b/\\e/g' < "$1" > "$2.z"
    tr '\0' '\n' < "$2.z" > "$2"
    rm -f -- "$2.z"
}

# Looks at folder $1 once. Into folder $2: tree (three records per path: facts, path, link target),
# files (the regular ones), all (what is archived), skipped (sockets, fifos, devices).
look() {
    mkdir -p -- "$2"
    (
        cd -- "$1"
        find . -ignore_readdir_race \( -type f -fprint0 "$2/files" -o -type d -o -type l \) \
            -fprintf "$2/tree" '%y %m %s %U:%G %D:%i %n %C@\0%p\0%l\0' -fprint0 "$2/all" \
            -o -fprint0 "$2/skipped"
    )
}

# Writes the manifest of folder $1, as looked at in $2, to $3. One sha256sum takes many files: no process per file.
manifest() {
    (
        cd -- "$1"
        xargs -0 -r sha256sum -z -b -- < "$2/files" > "$2/hashes"
    )
    lines "$2/hashes" "$2/hashes.lines"
    lines "$2/tree" "$2/tree.lines"
    awk '
        BEGIN {
            OFS = "\t"
            while ((getline line < ARGV[1]) > 0) hash[substr(line, 67)] = substr(line, 1, 64)
            ARGV[1] = ""
        }
        {
            split($0, fact, " ")
            type = fact[1]; size = "-"; digest = "-"; identity = "-"
            if ((getline path) <= 0 || (getline link) <= 0) exit 1
            if (type == "f") {
                if (!(path in hash)) exit 1
                size = fact[3]; digest = hash[path]
                if (fact[6] > 1) identity = fact[5]
            }
            print type, substr("000" fact[2], length(fact[2])), size, fact[4], digest, path, identity, link
        }
    ' "$2/hashes.lines" "$2/tree.lines" > "$2/unsorted"
    sort -s -T "$2" -t "$tab" -k 6,6 -o "$2/sorted" "$2/unsorted"
    # Several names of one file (hard links): all but the first say which one they are the same as.
    awk -F '\t' '
        BEGIN { OFS = "\t"; print "# runbook manifest 1: type, mode, size, owner, sha256, path, link" }
        $7 != "-" { if ($7 in first) $8 = "=" first[$7]; else first[$7] = $6 }
        { print $1, $2, $3, $4, $5, $6, $8 }
    ' "$2/sorted" > "$3"
}

# Compares folder $1 with manifest $2, work files in $3. $4: `exact`, or `contains`, where paths that the manifest does
# not have are no difference. Owners count only for root: nobody else could restore them.
compare() {
    [ -r "$2" ] || fail "the manifest $2 cannot be read: is the repository still there?"
    remove "$3"
    look "$1" "$3"
    manifest "$1" "$3" "$3/now"
    awk -F '\t' -v owner="$as_root" -v exact="$4" -v limit="$shown_at_most" '
        BEGIN { split("type mode size owner sha256 path link", column, " ") }
        function show(text) { if (++shown <= limit) print "  " text }
        /^#/ { next }
        FILENAME == ARGV[1] { want[$6] = $0; next }
        !($6 in want) {
            extra++
            if (exact == "exact") show("not in the backup: " $6)
            next
        }
        {
            split(want[$6], was, "\t"); differs = ""
            for (i = 1; i <= 7; i++)
                if ($i != was[i] && (i != 4 || owner)) differs = differs " " column[i]
            if (differs != "") { wrong++; show("differs in" differs ": " $6) }
            delete want[$6]
        }
        END {
            for (path in want) { wrong++; show("missing: " path) }
            if (exact == "exact") wrong += extra
            else if (extra) printf "  note: %d path(s) are there that the backup does not have\n", extra
            if (wrong > limit) printf "  and %d more\n", wrong - limit
            exit wrong > 0
        }
    ' "$2" "$3/now"
    remove "$3"
}

# Unpacks archive $1 into the new folder $2; tar's messages go through file $3, since a file system without ACLs or
# extended attributes makes tar complain (and go on) for every single path.
unpack_archive() {
    remove "$2"
    remove "$3"
    mkdir -- "$2"
    unpack_owner=--no-same-owner
    [ "$as_root" -eq 0 ] || unpack_owner=--same-owner
    unpack_status=0
    tar --extract --file="$1" --directory="$2" --preserve-permissions --numeric-owner "$unpack_owner" \
        --delay-directory-restore --xattrs --acls --warning=no-timestamp 2> "$3" || unpack_status=$?
    messages=$(wc -l < "$3")
    sed "${shown_at_most}q" "$3" >&2
    [ "$messages" -le "$shown_at_most" ] || complain "tar: and $((messages - shown_at_most)) more messages"
    remove "$3"
    return "$unpack_status"
}

# Says so where folder $1 has hardly any room left: the likely reason why something failed there.
hint_room() {
    room=$(stat -f -c '%a %S' -- "$1") || return 0
    room=$((${room% *} * ${room#* } / 1048576))
    [ "$room" -ge "$little_room_mib" ] || complain "there is no room: $room MiB are left where $1 is"
}

# Ends after a failure: above 128 (the step tries again) after a killed tool, which xargs tells as 125; else with 1.
give_up() {
    hint_room "$2"
    [ "$1" -ne 125 ] || exit "$killed"
    [ "$1" -le 128 ] || exit "$1"
    fail "$3"
}

hash_and_archive() {
    manifest "$1" "$2/before" "$3.manifest"
    tar --create --file="$3.tar" --directory="$1" --format=posix --pax-option=delete=atime,delete=ctime \
        --sparse --xattrs --acls --numeric-owner \
        --no-recursion --null --verbatim-files-from --files-from="$2/before/all"
}

# The tree in folder $1 as sorted rows in $2.
rows() {
    lines "$1/tree" "$2.lines"
    paste - - - < "$2.lines" > "$2"
    sort -T "$WORK" -o "$2" "$2"
}

# Packs source $2, the number $1 of them. It is looked at before and after: what changed meanwhile is no backup.
pack_one() {
    path=$(realpath -ms -- "$2")
    called=$(name_of "$2")
    slug=$(printf '%.60s' "${called#/}" | tr -c 'A-Za-z0-9._-' '_')
    stem=$1-$slug
    own=$WORK/$1
    [ -d "$path" ] || fail "the source $2 is not there any more. Nothing was published."
    attempt look "$path" "$own/before"
    [ "$status" -eq 0 ] || give_up "$status" "$FOLDER" "$2 could not be read, see above. Nothing was published."
    attempt hash_and_archive "$path" "$own" "$FOLDER/$stem"
    packed=$status
    attempt look "$path" "$own/after"
    looked=$status
    if [ "$looked" -eq 0 ]; then
        rows "$own/before" "$own/before.rows"
        rows "$own/after" "$own/after.rows"
        comm -3 "$own/before.rows" "$own/after.rows" > "$own/moved"
        if [ -s "$own/moved" ]; then
            complain "error: $2 changed while it was read, at these paths among others:"
            sed -e 's/^\t//' "$own/moved" | cut -f 2 | sort -u | sed -e 's/^/  /' -e "${shown_at_most}q" >&2
            complain "Nothing was published; the step tries again by itself. If that does not help, stop what writes there."
            exit "$changed"
        fi
    fi
    [ "$packed" -eq 0 ] || give_up "$packed" "$FOLDER" "$2 could not be archived, see above. Nothing was published."
    [ "$looked" -eq 0 ] || give_up "$looked" "$FOLDER" "$2 could not be read again, see above. Nothing was published."
    if [ -s "$own/before/skipped" ]; then
        lines "$own/before/skipped" "$own/skipped"
        left_out=$(wc -l < "$own/skipped")
        say "note: $left_out socket(s), fifo(s) or device(s) in $2 are left out:"
        sed -e 's/^/  /' -e "${shown_at_most}q" "$own/skipped"
        skipped=$((skipped + left_out))
    fi
    printf '%s\t%s\t%s\t%s\n' "$1" "$stem" "$called" "$path" >> "$FOLDER/SOURCES"
    say "packed $2: $(($(wc -l < "$FOLDER/$stem.manifest") - 1)) paths, $(stat -c %s -- "$FOLDER/$stem.tar") bytes"
    remove "$own"
}

# What a person needs who has this folder and nothing else.
write_readme() {
    cat > "$FOLDER/README" <<END
A backup made by \`runbook exec backup\`.

  restore          runbook exec dr-restore -i backup=$NAME
  prove again      runbook exec verify-backup -i backup=$NAME
                   and -i repository=<the folder above this one>, where that is not the default

By hand, without runbook, in this folder:

  is it whole      sha256sum -c PROVED
  what is in it    cat SOURCES; less *.manifest
  unpack           mkdir /somewhere/new
                   tar -xpf STEM.tar --numeric-owner --xattrs --acls -C /somewhere/new
END
}

pack() {
    remove "$FOLDER"
    remove "$WORK"
    mkdir -p -- "$FOLDER" "$WORK"
    printf '%s\n' "$SOURCES" > "$WORK/wanted"
    number=0
    skipped=0
    while IFS= read -r source <&3; do
        number=$((number + 1))
        pack_one "$number" "$source"
    done 3< "$WORK/wanted"
    totals=$(awk -F '\t' '
        $1 == "f" { files++; bytes += $3 }
        END { printf "%.0f %.0f", files, bytes }' "$FOLDER"/*.manifest)
    created=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    host=$(uname -n)
    write_readme
    {
        say "format=1"
        say "name=$NAME"
        say "created=$created"
        say "host=$host"
        say "project=$project"
        say "run=$RUNBOOK_RUN_UID"
        say "sources=$number"
        say "files=${totals% *}"
        say "bytes=${totals#* }"
        say "skipped=$skipped"
    } > "$FOLDER/METADATA"
    remove "$WORK"
    output files "${totals% *}"
    output bytes "${totals#* }"
    output skipped "$skipped"
}

# Says that FOLDER is damaged, marks it where MARK asks for that, and ends.
damage() {
    complain "error: the backup in $FOLDER is damaged: $*"
    if [ "${MARK:-no}" = yes ] && [ -f "$FOLDER/PROVED" ]; then
        mv -f -- "$FOLDER/PROVED" "$FOLDER/DAMAGED"
        complain "It is marked as DAMAGED now: dr-restore and the retention do not count on it any more."
    fi
    if [ -f "$FOLDER/PROVED" ]; then
        complain "So that dr-restore takes the one before it, prove it again, which marks it:"
        complain "  runbook exec verify-backup -i backup=${FOLDER##*/}$same_repository"
    fi
    complain "Make a new one: runbook exec backup$same_repository"
    exit "$damaged"
}

# Compares every part of FOLDER with the hashes in its proof $1; the parts are the other arguments.
compare_hashes() {
    proof=$1
    shift
    for part; do
        [ -e "$FOLDER/$part" ] || damage "$part is missing"
        [ -r "$FOLDER/$part" ] || fail "$FOLDER/$part cannot be read by $(id -un)"
        known=$(part=$part awk 'substr($0, 67) == ENVIRON["part"]' "$FOLDER/$proof")
        [ -n "$known" ] || damage "$proof has no hash of $part"
    done
    attempt in_folder sha256sum --check --strict --quiet -- "$proof"
    # 1 is the tool's own word for a difference; anything else says nothing about the backup.
    case $status in
    0) ;;
    1) damage "hashes do not fit, see above" ;;
    *) give_up "$status" "$FOLDER" "the hashes could not be compared, see above" ;;
    esac
}

in_folder() {
    cd -- "$FOLDER"
    "$@"
}

# Compares FOLDER with its proof. What proof there is goes to $proved (empty: none yet).
hashes() {
    proved=
    [ ! -f "$FOLDER/DAMAGED" ] || proved=DAMAGED
    [ ! -f "$FOLDER/PROVED" ] || proved=PROVED
    if [ ! -f "$FOLDER/SOURCES" ]; then
        [ -z "$proved" ] || damage "SOURCES is missing"
        fail "nothing to prove in $FOLDER: what this run packed is gone. Start a new one: runbook exec backup$same_repository"
    fi
    set -- SOURCES METADATA README
    while IFS=$tab read -r _ stem _ <&3; do
        set -- "$@" "$stem.tar" "$stem.manifest"
    done 3< "$FOLDER/SOURCES"
    if [ -n "$proved" ]; then
        compare_hashes "$proved" "$@"
        say "hashes of $# files are right"
    else
        attempt in_folder sha256sum -b -- "$@" > "$FOLDER/PROVED.new"
        [ "$status" -eq 0 ] || give_up "$status" "$FOLDER" "the archives could not be read again, see above"
    fi
}

prove() {
    remove "$WORK"
    rm -f -- "$FOLDER/PROVED.new"
    hashes
    mkdir -p -- "$WORK"
    while IFS=$tab read -r number stem called _ <&3; do
        attempt unpack_archive "$FOLDER/$stem.tar" "$WORK/$number" "$WORK/$number.messages"
        [ "$status" -eq 0 ] || give_up "$status" "$WORK" "$stem.tar could not be unpacked, see above. Nothing is proved."
        attempt compare "$WORK/$number" "$FOLDER/$stem.manifest" "$WORK/$number.work" exact
        [ "$status" -eq 0 ] || give_up "$status" "$WORK" "$called, unpacked, is not what was packed, see above. Do not count on this backup."
        say "proved $called: unpacked and equal to its manifest"
        remove "$WORK/$number"
    done 3< "$FOLDER/SOURCES"
    if [ -z "$proved" ]; then
        mv -f -- "$FOLDER/PROVED.new" "$FOLDER/PROVED"
        sync -- "$FOLDER"/* "$FOLDER"
    elif [ "$proved" = DAMAGED ]; then
        if [ "${MARK:-no}" = yes ]; then
            mv -f -- "$FOLDER/DAMAGED" "$FOLDER/PROVED"
            say "it was marked as damaged, and is whole again: the mark is taken away"
        fi
    fi
    remove "$WORK"
    say "$FOLDER is whole"
    files=$(sed -n 's/^files=//p' "$FOLDER/METADATA")
    bytes=$(sed -n 's/^bytes=//p' "$FOLDER/METADATA")
    output files "$files"
    output bytes "$bytes"
}

# Calls function $1 with every source's stem and target.
for_each_target() {
    action=$1
    # shellcheck disable=SC2086 # stems have no blanks: the blanks separate them
    set -- $STEMS
    while IFS= read -r source <&3; do
        [ "$#" -gt 0 ] || fail "there are more sources than archives"
        find_target "$source"
        "$action" "$1" "$target"
        shift
    done 3<<END
$SOURCES
END
}

unpack_one() {
    parent=$(dirname -- "$2")
    (
        umask 022
        mkdir -p -- "$parent"
    )
    new=$2.new-$RUNBOOK_RUN_UID
    attempt unpack_archive "$FOLDER/$1.tar" "$new" "$2.work-$RUNBOOK_RUN_UID"
    [ "$status" -eq 0 ] || give_up "$status" "$parent" "$1.tar could not be unpacked beside $2, see above. $2 is as it was."
    attempt compare "$new" "$FOLDER/$1.manifest" "$2.work-$RUNBOOK_RUN_UID" exact
    [ "$status" -eq 0 ] || give_up "$status" "$parent" "$1.tar, unpacked, is not what was packed, see above. $2 is as it was."
    sync -f -- "$new"
    say "unpacked beside $2: $(($(wc -l < "$FOLDER/$1.manifest") - 1)) paths, all equal to the manifest"
}

check_one() {
    if [ ! -d "$2" ] || [ ! -e "$2.before-$RUNBOOK_RUN_UID" ] || [ -e "$2.new-$RUNBOOK_RUN_UID" ]; then
        fail "$2 does not hold what this run unpacked: it was undone. Start a new run: runbook exec dr-restore"
    fi
    attempt compare "$2" "$FOLDER/$1.manifest" "$2.work-$RUNBOOK_RUN_UID" contains
    [ "$status" -eq 0 ] || give_up "$status" "$2" \
        "$2 is not what was restored, see above: does something write there? Stop it, then start again: runbook exec dr-restore"
    say "checked $2: everything of the backup is there"
}

: "${FOLDER:?}" "${RUNBOOK_RUN_UID:?}" "${RUNBOOK_OUTPUT:?}"
case ${1-} in
pack | prove) : "${WORK:?}" ;;
*) WORK= ;;
esac
FOLDER=$(realpath -m -- "$FOLDER")
[ -z "$WORK" ] || WORK=$(realpath -m -- "$WORK")
case ${1-} in
pack)
    : "${SOURCES:?}" "${NAME:?}"
    pack
    ;;
prove) prove ;;
hashes) hashes ;;
unpack)
    : "${SOURCES:?}" "${STEMS:?}"
    for_each_target unpack_one
    ;;
check)
    : "${SOURCES:?}" "${STEMS:?}"
    for_each_target check_one
    ;;
*) fail "what to do? pack, prove, hashes, unpack or check" ;;
esac
