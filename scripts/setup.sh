#!/bin/sh
# Prepare a machine for one of the Makefile's jobs. Usage: scripts/setup.sh run|live|gui|test
#
#   run    .venv with rtvox and its pictures: never torch (make demo)
#   live   the same, and PortAudio must be there (make live)
#   gui    .venv-gui with the window, MIDI and PortAudio (make gui)
#   test   .venv-dev with every extra, and the audio systems that the tests play through (make test)
#
# Missing Debian packages are installed with apt when this is root or sudo asks for no password; otherwise one line
# says what to run. Nothing else outside the project's folder is touched.
set -eu
cd "$(dirname "$0")/.."
job=${1:?usage: scripts/setup.sh run|live|gui|test}

note() { printf 'rtvox setup: %s\n' "$*" >&2; }
die() { note "$*"; exit 1; }

find_python() {
    for python in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        [ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        "$python" -c 'import sys; print(sys.executable)'
        return
    done
    die "needs Python 3.11 or newer, found none: install one, or name it with PYTHON=/path/to/python3"
}

# apt_install PACKAGE...: return 1, after one line that says what to run, if they cannot be installed from here.
apt_install() {
    if ! command -v apt-get >/dev/null; then
        note "please install with your system's package manager what Debian calls: $*"
        return 1
    elif [ "$(id -u)" = 0 ]; then
        as_root=''
    elif sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        note "please run: sudo apt-get install $*"
        return 1
    fi
    note "installing $*"
    # No questions (jackd2 asks one about real-time priority); wait for another apt; old lists are renewed once.
    set -- $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 install "$@"
    "$@" </dev/null >/dev/null 2>&1 || { $as_root apt-get -q update >/dev/null 2>&1 || true; "$@" </dev/null >/dev/null; }
}

# missing_packages PACKAGE...: print those that dpkg does not know as installed; nothing where there is no dpkg.
missing_packages() {
    command -v dpkg-query >/dev/null || return 0
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$package"
    done
}

# has_library NAME: whether Linux has that shared library; other systems get theirs with the wheels.
has_library() {
    [ "$(uname -s)" != Linux ] ||
        "$python" -c 'import ctypes.util, sys; sys.exit(not ctypes.util.find_library(sys.argv[1]))' "$1"
}

has_venv() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

case $job in
    run | live) venv=.venv extras=plot ;;
    gui) venv=.venv-gui extras=plot,gui,midi ;;
    test) venv=.venv-dev extras=plot,gui,train,dev ;;
    *) die "no such job: $job; usage: scripts/setup.sh run|live|gui|test" ;;
esac
python=$(find_python)

packages=
has_library portaudio || packages=libportaudio2
# Debian has venv's pip (ensurepip) in a package of its own.
has_venv || packages="$packages $("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
if [ "$job" = gui ] || [ "$job" = test ]; then # what Qt's wheel leaves to the system, and letters to write with
    packages="$packages $(missing_packages libgl1 libegl1 libxkbcommon0 libdbus-1-3 libfontconfig1 fonts-dejavu-core)"
    has_library glib-2.0 || packages="$packages libglib2.0-0"
fi
if [ "$job" = gui ]; then # its X11 part
    packages="$packages $(missing_packages libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 \
        libxcb-render-util0 libxcb-shape0 libxcb-xkb1 libxkbcommon-x11-0)"
fi
[ "$job" = run ] || packages="$packages $(missing_packages espeak-ng)" # for /rtvox/say
if [ "$job" = test ]; then # audio systems and recorders that tests play through, a band, what museval asks for
    packages="$packages $(missing_packages jackd2 pulseaudio pulseaudio-utils libasound2-plugins alsa-utils ecasound \
        fluidsynth fluid-soundfont-gm musescore-general-soundfont-small ffmpeg puredata-core supercollider-language)"
fi
if [ -n "${packages# }" ] && ! apt_install $packages; then
    # Files are converted without PortAudio, too.
    [ "$job" = run ] && has_venv || exit 1
fi

# The stamp holds what was installed, so that an unchanged pyproject.toml installs nothing.
wanted="$("$python" -V) $extras $(cksum <pyproject.toml)"
if [ "$(cat $venv/rtvox-stamp 2>/dev/null)" = "$wanted" ]; then exit 0; fi

note "installing rtvox[$extras] into $venv"
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
printf '%s' "$wanted" >"$venv/rtvox-stamp"
