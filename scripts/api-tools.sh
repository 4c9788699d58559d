#!/usr/bin/env bash
# Installs what checks the API (a validator of OpenAPI documents, Schemathesis) into a folder of its own, checks the
# document, and prints the path of Schemathesis for CYTOWATCH_SCHEMATHESIS.
set -euo pipefail
cd "$(dirname "$0")/.."
folder="${1:-target/api-tools}"
[ -x "$folder/bin/schemathesis" ] || {
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check openapi-spec-validator==0.9.0 schemathesis==4.32.5
} >&2
"$folder/bin/openapi-spec-validator" src/serve/openapi.json >&2
realpath "$folder/bin/schemathesis"
