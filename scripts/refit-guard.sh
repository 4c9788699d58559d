#!/bin/sh
# Fits the limits of the shipped bundle to the network that finds cells, renews what hangs on the bundle's hash, and prints what the
# guard withholds then: of good cells on days that nothing was fitted on, and of everything on which no score may be shown. To be run
# whenever models/cells is another one.
#
#   scripts/refit-guard.sh CYTOWATCH [DATA]
#
# CYTOWATCH: the program; DATA: a folder with public pictures of other kinds (default: ../shared/data), left out where it is not there.
set -eu

cytowatch=$(realpath "${1:?usage: scripts/refit-guard.sh CYTOWATCH [DATA]}")
cd "$(dirname "$0")/.."
data=${2:-../shared/data}
page=$(mktemp)
trap 'rm -f "$page"' EXIT

"$cytowatch" model fit-guard models/compact
"$cytowatch" explain references --bundle models/compact
"$cytowatch" model check models/compact | head -n 1

set --
for kind in vicar_qpi_dic/dic slim_qpi_hela vicar_qpi_dic/qpi_pnt1a livecell_incucyte yeast_phase_yeaz; do
    [ ! -d "$data/$kind" ] || set -- "$@" --strange "$data/$kind"
done
"$cytowatch" evaluate model --panel 22 --fovs 2 --time-points 2 --stride 60 --out "$page" "$@" | grep '^withheld'
