# Completion of ddb for bash.
#
# Put this file where bash-completion looks for it, as `make install` does, or into ~/.bashrc:
#     source <(ddb completions bash)

_ddb() {
    local candidate
    COMPREPLY=()
    # ddb splits the line itself: bash breaks words at = and :, which stand inside words of ddb.
    # A candidate that is whole ends with a space.
    while IFS= read -r candidate; do
        COMPREPLY+=("$candidate")
    done < <(DDB_COMPLETE=bash "${1/#\~/$HOME}" "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}

# Versions of bash before 4.4 do not know nosort.
complete -o nospace -o nosort -F _ddb ddb 2>/dev/null || complete -o nospace -F _ddb ddb
