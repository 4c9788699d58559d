#!/bin/sh
# Runs cytowatch's detection and tracking on the Cell Tracking Challenge's films and lets the public package py-ctcmetrics
# judge the same results: the two must agree to the third digit.
#
#   scripts/ctc-agreement.sh CYTOWATCH DATA [VENV]
#
# CYTOWATCH: the program; DATA: a folder with ctc_phc_u373_02 and ctc_phc_psc_01. The first call makes the virtual environment VENV
# (default: target/ctcmetrics) and needs a package index.
set -eu

cytowatch=${1:?usage: scripts/ctc-agreement.sh CYTOWATCH DATA [VENV]}
data=${2:?usage: scripts/ctc-agreement.sh CYTOWATCH DATA [VENV]}
here=$(cd "$(dirname "$0")" && pwd)
venv=${3:-$here/../target/ctcmetrics}

[ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import ctc_metrics' 2>/dev/null || {
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check py-ctcmetrics==1.3.3 numpy==2.4.6 pillow==13.0.0
}
results=$(mktemp -d)
trap 'rm -r "$results"' EXIT
"$cytowatch" evaluate cells --data "$data" --only ctc --results "$results" >"$results/table.txt"
"$venv/bin/python" "$here/ctc-agreement.py" "$results/table.txt" "$data" "$results"
