# Completion of ddb for fish.
#
# Put this file into a directory of $fish_complete_path, as `make install` does, or into config.fish:
#     ddb completions fish | source

function __ddb_complete
    set -l words (commandline --tokenize --current-process --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    # A line is a candidate, a tab, and what it means. fish itself leaves out the space after "=", "," and "/".
    DDB_COMPLETE=fish $words[1] $words[2..] "$current" 2>/dev/null
end

complete --command ddb --no-files --keep-order --arguments '(__ddb_complete)'
