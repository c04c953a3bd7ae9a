#!/bin/sh
# Refuses files in which somebody was to put a value and has not: CHANGEME, replace-me, <your-project>, ${UNSET}.
#
#   placeholders.sh PATH…     files and folders; comments may say anything
#
# It never knows: what the files are for, and which value is meant.
# Exit codes: 0 there are none, 1 there are some, each told with its file and line.

set -eu
LC_ALL=C
export LC_ALL

# In brackets what no file of the project may say, this one included.
readonly words='FIX[M]E|TO[D]O|TBD|YOUR_[A-Z_]+|PROJECT_ID'
readonly spoken='change[_-]?me|replace[_-]?me|fill[_-]?me|your[_-]([a-z0-9]+[_-])+here|place[h]older|x{8,}'
readonly shapes='<[A-Za-z][A-Za-z0-9 _./-]*>|\{\{[^{}]*\}\}|\$\{[A-Z][A-Z0-9_]*\}'

for path; do
    [ -e "$path" ] || {
        printf 'error: %s is not there\n' "$path" >&2
        exit 1
    }
done

# Lines with one of some words, or with something else. grep: 0 found, 1 not, more: an error.
look() {
    how=$1 some=$2 other=$3
    shift 3
    grep "-rHnEI$how" --exclude-dir=.terraform "(^|[^A-Za-z0-9_])($some)([^A-Za-z0-9_]|\$)$other" -- "$@" || [ $? -eq 1 ]
}

found=$(look '' "$words" "|$shapes" "$@")
spelled=$(look i "$spoken" '' "$@")
found=$(printf '%s\n%s\n' "$found" "$spelled" | sort -u | sort -s -t: -k1,1 -k2,2n | grep . || true)
# A line that is a comment says something to people, and nothing to machines.
found=$(printf '%s' "$found" | grep -vE '^[^:]+:[0-9]+:[[:space:]]*(#|//|$)' || true)
[ -n "$found" ] || {
    echo 'no placeholder is left'
    exit 0
}
printf '%s\n' "$found" | while IFS= read -r line; do
    place=${line%%:*}
    rest=${line#*:}
    printf 'error: %s:%s: a placeholder is left: %s\n' "$place" "${rest%%:*}" "$(printf '%s' "${rest#*:}" | sed 's/^[[:space:]]*//')" >&2
done
echo 'Nothing was changed. Put the values that are meant in their places, and start again.' >&2
exit 1
