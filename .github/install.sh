#!/usr/bin/env bash
# Make the environment that Rollout runs in, from the locked packages and nothing else, and write its Python's path to
# $GITHUB_OUTPUT. Every package is held to its hash, none runs code to install itself, and $PYTHON's own packages stay
# as they are. On a machine that is kept, the next job finds the environment ready: its name is the hash of its content.
set -euo pipefail
action="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
case "${ROLLOUT_EXTRAS:-}" in
    "") lock="$action/requirements/runtime.txt" ;;
    kubernetes) lock="$action/requirements/kubernetes.txt" ;;
    *)
        echo "::error title=rollout::the input extras is empty or kubernetes" >&2
        exit 2
        ;;
esac

content() {
    cat "$lock" "${BASH_SOURCE[0]}"
    echo "$action"
    "$PYTHON" -I -c 'import sys; print(sys.executable, sys.version)'
}

home="${RUNNER_TOOL_CACHE:-}"
if [ -z "$home" ] || ! mkdir -p "$home" 2>/dev/null || [ ! -w "$home" ]; then
    home="${RUNNER_TEMP:?is set by the runner}"
fi
home="$home/rollout"
ready="$home/$(content | sha256sum | cut -c 1-32)"

use() {
    touch "$ready" 2>/dev/null || true # young again, where it is ours
    echo "python=$ready/bin/python" >>"$GITHUB_OUTPUT"
    exit
}

[ -x "$ready/bin/python" ] && use

# Made beside it and moved in one step: another job of this machine sees all of it or nothing.
mkdir -p "$home"
making="$(mktemp -d "$home/.making.XXXXXX")"
trap 'rm -rf "$making"' EXIT
if command -v uv >/dev/null; then
    uv --no-config --quiet venv --no-project --python "$PYTHON" "$making/environment"
    uv --no-config --quiet pip install --python "$making/environment/bin/python" \
        --require-hashes --no-deps --only-binary :all: --requirement "$lock"
else
    if "$PYTHON" -I -c 'import pip; assert int(pip.__version__.split(".")[0]) >= 23' 2>/dev/null; then
        "$PYTHON" -I -m venv --without-pip "$making/environment"
        pip=("$PYTHON" -I -m pip --python "$making/environment/bin/python")
    else
        "$PYTHON" -I -m venv "$making/environment"
        pip=("$making/environment/bin/python" -I -m pip)
    fi
    "${pip[@]}" --disable-pip-version-check --no-input --quiet install \
        --require-hashes --no-deps --only-binary :all: --requirement "$lock"
fi
# The program itself is used where the runner has put the action: at the commit that the workflow names.
"$making/environment/bin/python" -I - "$action" <<'PYTHON'
import pathlib, sys, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "rollout.pth").write_text(sys.argv[1] + "\n", encoding="utf-8")
PYTHON
mv -T "$making/environment" "$ready" 2>/dev/null || [ -x "$ready/bin/python" ]
find "$home" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} +
use
