# shellcheck shell=bash
# Disposable Debian machines: a base image made once, an overlay on it for each machine, systemd as its PID 1.
#
# Sourced by packaging/build, packaging/demo and tests/run, which run as root on Debian 12 or later.  Functions:
#   machine_setup [PROGRAM…]             once, first: installs the host's tools (and programs that are packages of the
#                                        same name), clears what an earlier run left
#   machine_image NAME [PACKAGE…]        sets IMAGE to the image that packaging/images/NAME describes; the packages and
#                                        what they depend on are at hand for apt in it, but not installed
#   machine_new IMAGE                    sets MACHINE to a new folder; the machine's files are in $MACHINE/root
#   machine_boot MACHINE [OPTION…]       boots it; the options go to systemd-nspawn
#   machine_enter MACHINE COMMAND…       runs a command in the booted machine
#   machine_chroot MACHINE COMMAND…      runs a command in the machine's files, not booted, without a network
#   machine_forward MACHINE PORT         forwards that port of this host's loopback to port 8000 of the machine's
#   machine_end MACHINE                  halts and removes it; happens by itself when the script ends, however it does
#   copy_sources TARGET [PATHSPEC…]      copies the source tree: what git knows of, and what it would add
#
# Environment: SWAPPER_MIRROR (http://deb.debian.org/debian), SWAPPER_CACHE (/var/cache/swapper-machines).

# shellcheck source=packaging/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/steps.sh"

MIRROR=${SWAPPER_MIRROR:-http://deb.debian.org/debian}
CACHE=${SWAPPER_CACHE:-/var/cache/swapper-machines}
REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
MACHINES=()
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# ---- the way out ---------------------------------------------------------------------------------------------------

_machine_exit() {
    local status=$? machine
    trap '' INT TERM HUP
    step_failed "$status"
    for machine in "${MACHINES[@]}"; do machine_end "$machine"; done
    exit "$status"
}

# ---- the host ------------------------------------------------------------------------------------------------------

machine_setup() {  # PROGRAM…
    local packages=() program
    ((EUID == 0)) || die "this needs root: it boots a machine." "Run it again with sudo, or as root."
    [[ -f /etc/debian_version ]] || die "this host is not Debian." "Run it on Debian 12, 13 or 14; a container will do."
    trap _machine_exit EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    mkdir -p "$CACHE/images" "$CACHE/machines"
    command -v mmdebstrap >/dev/null || packages+=(mmdebstrap)
    command -v systemd-nspawn >/dev/null || packages+=(systemd-container)
    [[ -e $KEYRING ]] || packages+=(debian-archive-keyring)
    for program in "$@"; do command -v "$program" >/dev/null || packages+=("$program"); done
    if ((${#packages[@]})); then
        step "Installing ${packages[*]} on this host" _install_on_host "${packages[@]}"
    fi
    _remove_leftovers
}

_install_on_host() {
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@")
    "${install[@]}" || { apt-get update && "${install[@]}"; }
}

# A machine's lock is held by the script that made it; free, it means that the script was killed outright.
_remove_leftovers() {
    local machine lock
    for machine in "$CACHE"/machines/*/; do
        [[ -e ${machine}lock ]] || continue
        exec {lock}<"${machine}lock"
        if flock --nonblock "$lock"; then machine_end "${machine%/}"; fi
        exec {lock}<&-
    done
}

# ---- the source tree -----------------------------------------------------------------------------------------------

list_sources() {  # [PATHSPEC…]
    # safe.directory: with sudo the tree is somebody else's.
    git -c safe.directory="$REPO" -C "$REPO" ls-files -z --cached --others --exclude-standard -- "$@" \
        | while IFS= read -r -d '' file; do if [[ -e $REPO/$file ]]; then printf '%s\0' "$file"; fi; done | sort -z
}

copy_sources() {  # TARGET [PATHSPEC…]
    local target=$1
    shift
    mkdir -p "$target"
    list_sources "$@" | tar -C "$REPO" --null --files-from=- --create --owner=0 --group=0 | tar -C "$target" --extract
}

# ---- images --------------------------------------------------------------------------------------------------------

# NAME PACKAGE….  Sets IMAGE.  The folder is named after its content's description, so an image is never out of date; one
# that nobody describes any more is removed unless a script that asked for it still runs.
machine_image() {
    local name=$1 recipe digest lock use
    shift
    recipe=$(sed -e 's/#.*//' -e '/^ *$/d' "$REPO/packaging/images/$name"; if (($#)); then echo "fetch $*"; fi)
    digest=$({ echo "$recipe"; declare -f _image_build _image_settle; } | sha256sum | cut -c1-12)
    IMAGE=$CACHE/images/$name-$digest
    exec {lock}>"$CACHE/images/$name.lock"
    flock --nonblock "$lock" || step "Waiting for another run that makes image $name" flock "$lock"
    if [[ ! -d $IMAGE ]]; then
        step "Making image $name (once; a minute or two)" _image_build "$recipe" "$IMAGE"
        _remove_old_images "$name"
    fi
    exec {use}<"$IMAGE"
    flock --shared "$use"
    exec {lock}>&-
}

_image_build() {  # RECIPE TARGET
    local staging=$CACHE/images/.new-$$ aptconf=$CACHE/images/.apt-$$ suite install fetch hooks=()
    suite=$(sed -n 's/^suite //p' <<<"$1")
    install=$(sed -n 's/^install //p' <<<"$1" | xargs | tr ' ' ,)
    fetch=$(sed -n 's/^fetch //p' <<<"$1")
    # How this host reaches its mirror (proxy, retries, clock) holds for the image too; what it indexes does not.
    apt-config dump | grep -E '^(Acquire::(https?|ftp|Retries|Check-|Max-|Min-|ForceIP|By-Hash|PDiffs)|APT::Sandbox)' >"$aptconf" || true
    _remove_leftover "$staging"
    mkdir "$staging"
    if compgen -G '/etc/apt/auth.conf*' >/dev/null; then
        # shellcheck disable=SC2016  # mmdebstrap expands it
        hooks+=(--setup-hook='mkdir -p "$1/etc/apt"; cp -a /etc/apt/auth.conf* "$1/etc/apt/"')
    fi
    if [[ $fetch ]]; then
        hooks+=(--skip=cleanup/apt/lists --skip=cleanup/apt/cache
            --customize-hook="chroot \"\$1\" apt-get install --yes --download-only --install-recommends $fetch")
    fi
    # force-unsafe-io: a machine that lives for minutes need not survive a power cut.
    mmdebstrap --mode=root --variant=minbase --include="$install" --aptopt="$aptconf" --dpkgopt=force-unsafe-io "${hooks[@]}" \
        "$suite" "$staging" "deb [signed-by=$KEYRING] $MIRROR $suite main"
    rm -f "$aptconf"
    _image_settle "$staging"
    mv "$staging" "$2"
}

_image_settle() {  # ROOT
    local unit
    # The host's way to its mirror may hold passwords.
    rm -rf "$1"/etc/apt/auth.conf* "$1"/etc/apt/apt.conf.d/99mmdebstrap
    echo swapper >"$1/etc/hostname"
    printf '127.0.0.1 localhost swapper\n::1 localhost\n' >"$1/etc/hosts"
    rm -f "$1/etc/resolv.conf"
    # Without an identity each boot would be a first boot, which presets every unit.
    tr -d - </proc/sys/kernel/random/uuid >"$1/etc/machine-id"
    # Nor is there anything to bring up to date.
    touch "$1/etc/.updated" "$1/var/.updated"
    for unit in console-getty.service getty.target apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        e2scrub_reap.service fstrim.timer man-db.timer systemd-networkd.service systemd-networkd-wait-online.service \
        systemd-resolved.service systemd-timesyncd.service nginx.service caddy.service caddy-api.service; do
        ln -sf /dev/null "$1/etc/systemd/system/$unit"
    done
}

_remove_old_images() {  # NAME
    local old lock
    for old in "$CACHE/images/$1"-*/; do
        old=${old%/}
        [[ $old != "$IMAGE" ]] || continue
        exec {lock}<"$old"
        if flock --nonblock "$lock"; then rm -rf "$old"; fi
        exec {lock}<&-
    done
    for old in "$CACHE"/images/.new-* "$CACHE"/images/.apt-*; do
        kill -0 "${old##*-}" 2>/dev/null || _remove_leftover "$old"
    done
}

# A build that was killed leaves /proc, /sys and /dev mounted, and those are the host's.
_remove_leftover() {  # PATH
    local place
    while IFS= read -r place; do
        umount --lazy "$place"
    done < <(findmnt --raw --noheadings --output TARGET | grep --fixed-strings "$1/" | sort --reverse)
    rm -rf --one-file-system "$1"
}

# ---- machines ------------------------------------------------------------------------------------------------------

machine_new() {  # IMAGE
    MACHINE=$(mktemp -d "$CACHE/machines/XXXXXX")
    MACHINES+=("$MACHINE")
    local lock
    exec {lock}>"$MACHINE/lock"
    flock "$lock"
    mkdir "$MACHINE/root"
    _mount_overlay "$1" "$MACHINE" || cp -a --reflink=auto "$1/." "$MACHINE/root/"
}

# Where the cache is itself an overlay (as in a container), the upper layer is kept in memory.
_mount_overlay() {  # IMAGE MACHINE
    mkdir "$2/layer"
    _mount_layers "$@" || { mount -t tmpfs -o mode=0755 swapper-machine "$2/layer" && _mount_layers "$@"; }
}

_mount_layers() {  # IMAGE MACHINE
    mkdir "$2/layer/upper" "$2/layer/work"
    mount -t overlay -o "lowerdir=$1,upperdir=$2/layer/upper,workdir=$2/layer/work" swapper-machine "$2/root" 2>/dev/null
}

# A host without systemd may have the old cgroup hierarchies, or none, where a new systemd refuses to boot. And each
# machine needs a control group of its own: in a shared one units of the same name would share theirs, and one machine's
# `systemctl stop` would wait for another's processes and kill them.
_own_cgroup() {  # NAME
    local tree=/sys/fs/cgroup old
    [[ $(stat --file-system --format=%T "$tree") == cgroup2fs ]] || mount -t cgroup2 cgroup2 "$tree" || return 0
    [[ $1 ]] || return 0
    for old in "$tree"/swapper-*/; do  # of machines that are gone
        grep -qs '^populated 0' "$old/cgroup.events" && find "$old" -depth -type d -exec rmdir {} + 2>/dev/null
    done
    mkdir "$tree/$1" && echo 0 >"$tree/$1/cgroup.procs"
}

_nspawn() {  # MACHINE OPTION…
    local machine=$1 scope=() cgroup='' cgroups=()
    shift
    # Without systemd there is nobody to ask for a scope; with it, only a scope of its own is delegated.
    [[ -d /run/systemd/system ]] || scope=(--keep-unit) cgroup="swapper-${machine##*/}"
    # shellcheck disable=SC2016  # that bash expands it
    [[ ! $cgroup && $(stat --file-system --format=%T /sys/fs/cgroup) == cgroup2fs ]] \
        || cgroups=(unshare --mount bash -c "$(declare -f _own_cgroup)"'; _own_cgroup "$0"; exec "$@"' "$cgroup")
    # setpriv, so that it does not outlive this script even if that is killed.
    exec "${session[@]}" setpriv --pdeathsig TERM "${cgroups[@]}" systemd-nspawn --quiet --directory="$machine/root" \
        --machine="swapper-${machine##*/}" --register=no "${scope[@]}" --private-network --link-journal=no --resolv-conf=off \
        --timezone=off "$@"
}

machine_boot() {  # MACHINE OPTION…
    local machine=$1 attempt
    shift
    # In a session of its own Ctrl-C does not reach it, so it ends by way of our traps.
    (session=(setsid); _close_locks; _nspawn "$machine" --hostname=swapper --boot "$@") </dev/null >"$machine/console" 2>&1 &
    echo $! >"$machine/nspawn"
    for ((attempt = 0; attempt < 3000; attempt++)); do
        kill -0 "$(<"$machine/nspawn")" 2>/dev/null || break
        sleep 0.1
        _find_leader "$machine" || continue
        if machine_enter "$machine" systemctl is-system-running --wait; then return 0; fi
        # A machine that came up degraded says so over and over; what failed is worth more than waiting.
        if machine_enter "$machine" systemctl is-system-running 2>/dev/null | grep -q degraded; then
            machine_enter "$machine" systemctl --failed --no-pager
            break
        fi
    done
    tail -n 30 "$machine/console"
    echo "the machine did not boot, or not well"
    return 1
}

# Inherited, the locks would outlive this script.
_close_locks() {
    local fd
    for fd in /proc/self/fd/*; do
        fd=${fd##*/}
        if ((fd > 2)); then eval "exec $fd>&-"; fi
    done
}

# The machine's PID 1: the child of systemd-nspawn that is in a PID namespace of its own.
_find_leader() {  # MACHINE
    local nspawn child
    [[ -s $1/nspawn ]] || return 1
    nspawn=$(<"$1/nspawn")
    # The number may be another process's by now.
    grep -qzF -- "--directory=$1/root" "/proc/$nspawn/cmdline" 2>/dev/null || return 1
    for child in $(<"/proc/$nspawn/task/$nspawn/children"); do
        [[ $(readlink "/proc/$child/ns/pid") != "$(readlink /proc/self/ns/pid)" ]] || continue
        echo "$child" >"$1/leader"
        return 0  # a bare `return` within a trap returns what was before the trap
    done
    return 1
}

machine_enter() {  # MACHINE COMMAND…
    local leader
    leader=$(<"$1/leader")
    shift
    nsenter --target "$leader" --mount --uts --ipc --net --pid --root --wd -- env -i HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin "$@"
}

machine_chroot() {  # MACHINE COMMAND…
    local machine=$1
    shift
    (_close_locks; _nspawn "$machine" --pipe --setenv=LANG=C.UTF-8 "$@")
}

# The proxy listens here and connects there: sockets keep the network namespace they were made in.
machine_forward() {  # MACHINE PORT
    local listen=("--listen=127.0.0.1:$2") leader attempt
    leader=$(<"$1/leader")
    if [[ -e /proc/net/if_inet6 ]]; then listen+=("--listen=[::1]:$2"); fi
    (_close_locks; exec setsid setpriv --pdeathsig TERM systemd-socket-activate "${listen[@]}" \
        nsenter --target "$leader" --net /usr/lib/systemd/systemd-socket-proxyd 127.0.0.1:8000) </dev/null >"$1/forward.log" 2>&1 &
    echo $! >"$1/forward"
    for ((attempt = 0; attempt < 1200; attempt++)); do
        if grep -q "^Listening on" "$1/forward.log"; then return 0; fi
        kill -0 "$(<"$1/forward")" || break
        sleep 0.05
    done
    cat "$1/forward.log"
    return 1
}

# Nothing in it is worth an orderly halt: with its PID 1 the kernel ends everything in it.
machine_end() {  # MACHINE
    [[ -d $1 ]] || return 0
    if [[ -s $1/forward ]] && grep -qs systemd-socket "/proc/$(<"$1/forward")/cmdline"; then kill "$(<"$1/forward")" || true; fi
    if _find_leader "$1"; then
        kill -KILL "$(<"$1/leader")" || true
        for _ in {1..50}; do _find_leader "$1" || break; sleep 0.1; done
    fi
    umount --lazy "$1/root" 2>/dev/null || true
    umount --lazy "$1/layer" 2>/dev/null || true
    rm -rf --one-file-system "$1"
}
