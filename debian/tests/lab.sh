# Read by the tests that want models: two tiny ones for the real llama-server, which say who they are, on one GPU.

# Whatever a test leaves, the next one finds a machine without models; and why it failed, in the journal.
finish() {
    status=$?
    trap - EXIT
    if [ "$status" != 0 ]; then journalctl --no-pager --lines 100 --unit 'swapper*' --unit 'llama@*'; fi
    rm -f /etc/swapper/conf.d/*.yaml
    systemctl stop 'llama@*.service' swapper.service
    systemctl reset-failed 'llama@*.service' 2>/dev/null || true
    systemctl daemon-reload
    rm -rf /srv/swapper-tests
    exit "$status"
}
trap finish EXIT

add() {  # MODEL
    mkdir -p /srv/swapper-tests
    python3 tests/lab/gguf.py "/srv/swapper-tests/$1.gguf" --reply "Hello! This is $1 speaking."
    swapperctl add "/srv/swapper-tests/$1.gguf"
}

# Asks a model, and fails unless it is the one that answers.
hear() {  # MODEL
    answer=$(swapperctl chat "$1" "Hello!")
    echo "$1: $answer"
    [ "$answer" = "Hello! This is $1 speaking." ]
}

show() {  # UNIT PROPERTY
    systemctl show --value --property "$2" "$1"
}

fails() {  # COMMAND…
    if "$@"; then echo "this should have failed: $*"; return 1; fi
}
