#!/usr/bin/env bash
# Find a Python that Rollout can run with, and write its path to $GITHUB_OUTPUT; an empty one where there is none.
# A Python that was asked for and is not fit is an error: another one in its place would be a surprise.
set -euo pipefail

fit() {
    "$1" -I -c '
import importlib.util, sys
if sys.version_info < (3, 11) or not any(map(importlib.util.find_spec, ("pip", "ensurepip"))):
    sys.exit(1)
print("python=" + sys.executable)
' 2>/dev/null
}

if [ -n "${ROLLOUT_PYTHON:-}" ]; then
    fit "$ROLLOUT_PYTHON" >>"$GITHUB_OUTPUT" || {
        echo "::error title=Rollout::the input python names no Python of 3.11 or newer with pip; leave it out, or install python3-venv"
        exit 1
    }
    exit
fi
for name in python3 python3.14 python3.13 python3.12 python3.11; do
    fit "$name" >>"$GITHUB_OUTPUT" && exit
done
echo "python=" >>"$GITHUB_OUTPUT"
