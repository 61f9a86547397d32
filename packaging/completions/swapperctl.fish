# fish: /usr/share/fish/vendor_completions.d/swapperctl.fish. swapperctl itself knows what may come next.
function __swapperctl_complete
    set -l found (swapperctl __complete (commandline -opc)[2..] "$(commandline -ct)" 2>/dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c swapperctl -f -a '(__swapperctl_complete)'
