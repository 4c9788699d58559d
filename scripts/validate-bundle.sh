#!/bin/sh
# Runs the official bioimage.io validator on a model bundle: format, hashes, and the encoder against its test tensors.
#
#   scripts/validate-bundle.sh BUNDLE [VENV]
#
# Needs Python 3.11 or newer. The first call makes the virtual environment VENV (default: target/bioimageio) from
# scripts/validate-bundle.txt, which pins every package, and needs a package index; later calls need no network.
set -eu

bundle=${1:?usage: scripts/validate-bundle.sh BUNDLE [VENV]}
here=$(cd "$(dirname "$0")" && pwd)
venv=${2:-$here/../target/bioimageio}
pins=$here/validate-bundle.txt

if ! cmp -s "$pins" "$venv/pins.txt"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$pins"
    cp "$pins" "$venv/pins.txt"
fi

# Proxies that lead nowhere: whatever the validator wants, it has to find in the bundle.
export ORT_DISABLE_TELEMETRY=1 no_proxy= http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9
exec "$venv/bin/bioimageio" test "$bundle/rdf.yaml"
