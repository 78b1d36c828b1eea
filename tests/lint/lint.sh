# What the checks of this folder share (bash, sourced). A check is called as CHECK [ROOT [BUILD]]:
# ROOT is the tree to look at, BUILD where preset dev was built; tests/lint/selftest plants faults
# in a copy of the tree.

set -uo pipefail
root=$(cd "${1:-$(dirname "${BASH_SOURCE[0]}")/../..}" && pwd) || exit 1
build=${2:-$root/build-dev}
cd "$root" || exit 1
faults=0
looked=0

fault() {
    echo "$*"
    faults=$((faults + 1))
}

# Every file of the project, tracked or about to be; a tree without git is taken whole.
lint_files() {
    if [ -e .git ] && git ls-files >/dev/null 2>&1; then
        git ls-files -co --exclude-standard -- "$@" | while read -r file; do
            [ ! -f "$file" ] || echo "$file"
        done
    else
        find . -type f -not -path './build*' -not -path './.git/*' | sed 's,^\./,,' | lint_match "$@"
    fi
}

# Keeps the lines that match one of the shell patterns; all if there is none.
lint_match() {
    local file pattern
    while read -r file; do
        [ $# -gt 0 ] || echo "$file"
        for pattern in "$@"; do
            # shellcheck disable=SC2053 # patterns are meant
            [[ "$file" != $pattern ]] || echo "$file"
        done
    done
}

# C without comments, and with the insides of strings gone: "FILE:LINE:code".
lint_code() {
    awk '
        FNR == 1 { comment = 0 }
        {
            line = $0; code = ""
            while (line != "") {
                if (comment) {
                    end = index(line, "*/")
                    if (!end) { line = ""; break }
                    line = substr(line, end + 2); comment = 0
                } else if (match(line, /"([^"\\]|\\.)*"|\/\*|\/\/.*|'"'"'([^'"'"'\\]|\\.)+'"'"'/)) {
                    token = substr(line, RSTART, RLENGTH)
                    code = code substr(line, 1, RSTART - 1)
                    line = substr(line, RSTART + RLENGTH)
                    if (token == "/*") { comment = 1; code = code " " }
                    else if (substr(token, 1, 1) == "\"") { code = code "\"\"" }
                    else if (substr(token, 1, 1) != "/") { code = code "0" }
                } else { code = code line; line = "" }
            }
            if (code ~ /[^ ]/) print FILENAME ":" FNR ":" code
        }' "$@"
}

# Ends the check. One that looked at nothing has not passed.
lint_end() {
    if [ "$looked" -eq 0 ]; then
        fault "nothing found to look at in $root"
    fi
    [ "$faults" -eq 0 ] || echo "$faults faults"
    [ "$faults" -eq 0 ]
    exit
}
