#!/bin/sh
# Trains the same autoencoder with cytowatch and with PyTorch on the CPU, in turn, and prints pictures per second of both
# and their ratio.
#
#   scripts/torch-speed.sh [VENV]
#
# The first call makes the virtual environment VENV (default: target/torch-speed) and needs a package index: PyTorch's own,
# whose build for CPUs is small, or else PyPI, whose build brings some gigabytes for GPUs along. More arguments for cargo, such as
# another profile, may stand in CARGO_BENCH_ARGS; CARGO_TARGET_DIR and RAYON_NUM_THREADS are respected.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
venv=${1:-$here/../target/torch-speed}
version=2.8.0

if ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    python3 -m venv --clear "$venv"
    pip="$venv/bin/pip --disable-pip-version-check install --quiet"
    $pip --retries 0 --timeout 15 --index-url https://download.pytorch.org/whl/cpu "torch==$version" 2>/dev/null ||
        $pip "torch==$version"
fi

cd "$here/.."
# shellcheck disable=SC2086
cargo bench --quiet ${CARGO_BENCH_ARGS:-} --features learn --bench train --no-run
# shellcheck disable=SC2086
exec "$venv/bin/python" "$here/torch-speed.py" cargo bench --quiet ${CARGO_BENCH_ARGS:-} --features learn --bench train --
