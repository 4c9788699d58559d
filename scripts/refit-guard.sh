#!/bin/sh
# Fits the limits of the shipped bundle, and what changes of state are read from, to the network that finds cells, renews what hangs on
# the bundle's hash, and prints what the guard withholds then: of good cells on days that nothing was fitted on, and of everything on
# which no score may be shown. To be run whenever models/cells is another one.
#
#   scripts/refit-guard.sh CYTOWATCH [DATA]
#
# CYTOWATCH: the program; DATA: a folder with public pictures of other kinds (default: ../shared/data), left out where it is not there.
set -eu

cytowatch=$(realpath "${1:?usage: scripts/refit-guard.sh CYTOWATCH [DATA]}")
cd "$(dirname "$0")/.."
data=${2:-../shared/data}
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

"$cytowatch" model fit-guard models/compact
"$cytowatch" model fit-state models/compact
crops=$data/openlch_crops
if [ -f "$crops/labels.csv" ]; then
    tr -d '\r' <"$crops/labels.csv" | awk -F, '$4 == "high" || $4 == "low" { print $3 "," $4 }' | sort -u >"$work/labels.csv"
    "$cytowatch" evaluate crops "$crops" --labels "$work/labels.csv" --bundle models/compact --into-card
fi
# Last: they name the bundle's hash, and the model card is part of it.
"$cytowatch" explain references --bundle models/compact
"$cytowatch" model check models/compact >/dev/null

set --
for kind in vicar_qpi_dic/dic slim_qpi_hela vicar_qpi_dic/qpi_pnt1a livecell_incucyte yeast_phase_yeaz; do
    [ ! -d "$data/$kind" ] || set -- "$@" --strange "$data/$kind"
done
"$cytowatch" evaluate model --panel 25 --fovs 2 --time-points 2 --stride 60 --out "$work/page.html" "$@" | grep '^withheld'
