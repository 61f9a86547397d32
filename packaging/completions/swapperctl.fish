# fish: /usr/share/fish/vendor_completions.d/swapperctl.fish. swapperctl itself knows what may come next.
complete -c swapperctl -a '(swapperctl __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
