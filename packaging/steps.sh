# shellcheck shell=bash
# What the reader sees of a script that takes its time: a line for each step, with its seconds.
#
#   say TEXT…              prints a line
#   die MESSAGE HINT       ends the script: what happened, and what to do
#   step TEXT COMMAND…     runs a command; shows TEXT and the seconds, its output only if it fails
#   step_failed STATUS     to be called on the way out: shows what a step that failed has printed

STEP_TEXT=
STEP_LOG=
STEP_TICKER=

exec {PROGRESS}>&2  # a step's own stderr goes to a log, its progress does not

say() { printf '%s\n' "$*" >&"$PROGRESS"; }

die() {  # MESSAGE HINT
    say "error: $1"
    say "       ${2:-}"
    exit 1
}

seconds_since() {  # EPOCHREALTIME
    local tenths=$(( (${EPOCHREALTIME/[.,]/} - ${1/[.,]/}) / 100000 ))
    printf '%d.%d s' $((tenths / 10)) $((tenths % 10))
}

step() {  # TEXT COMMAND…
    local started=$EPOCHREALTIME
    STEP_TEXT=$1
    STEP_LOG=$(mktemp)
    shift
    _ticker_start
    # Plain, not in a condition: `set -e` must still hold within the command.
    "$@" >"$STEP_LOG" 2>&1
    _ticker_stop
    say "$(printf '%-64s %8s' "$STEP_TEXT" "$(seconds_since "$started")")"
    rm -f "$STEP_LOG"
    STEP_TEXT=
}

# On a terminal one line that counts; in a log a sign of life every half minute.
_ticker_start() {
    local text=$STEP_TEXT
    (
        trap - EXIT INT TERM HUP
        for ((passed = 0; ; passed++)); do
            if [[ -t $PROGRESS ]]; then
                printf '\r%-64s %6d s' "$text …" "$passed" >&"$PROGRESS"
            elif ((passed % 30 == 0)); then
                printf '%s …%s\n' "$text" "$( ((passed)) && printf ' %d s' "$passed")" >&"$PROGRESS"
            fi
            sleep 1
        done
    ) &
    STEP_TICKER=$!
}

_ticker_stop() {
    [[ $STEP_TICKER ]] || return 0
    kill "$STEP_TICKER" 2>/dev/null || true
    wait "$STEP_TICKER" 2>/dev/null || true
    STEP_TICKER=
    if [[ -t $PROGRESS ]]; then printf '\r\e[K' >&"$PROGRESS"; fi
}

step_failed() {  # STATUS
    _ticker_stop
    [[ $STEP_TEXT ]] || return 0
    if [[ $1 != 129 && $1 != 130 && $1 != 143 ]]; then  # not by a signal to this script
        say "failed: $STEP_TEXT (exit status $1); its last lines:"
        tail -n 60 "$STEP_LOG" >&"$PROGRESS" || true
    fi
    rm -f "$STEP_LOG"
}
