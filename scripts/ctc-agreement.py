"""Compares a table of `cytowatch evaluate cells` with what py-ctcmetrics says of the same results.

    python3 ctc-agreement.py TABLE DATA RESULTS

The table shows three digits; any difference beyond them ends the script with an error.
"""

import contextlib
import io
import sys
from pathlib import Path

from ctc_metrics.scripts.evaluate import evaluate_sequence

# The second film has outlines that are a computed consensus and not part of the truth's SEG folder.
SETS = {
    "ctc_phc_u373_02": ("02_GT", ["DET", "TRA", "SEG"]),
    "ctc_phc_psc_01": ("01_GT", ["DET", "TRA"]),
}

table, data, results = map(Path, sys.argv[1:4])
rows = {line.split()[0]: line.split()[1:4] for line in table.read_text().splitlines() if line.strip()}
worst = 0.0
for name, (truth, measures) in SETS.items():
    if not (data / name).is_dir():
        print(f"{name}: skipped, not there")
        continue
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = evaluate_sequence(str(results / name), str(data / name / truth), metrics=["Valid", *measures])
    if theirs["Valid"] != 1:
        sys.exit(f"{name}: py-ctcmetrics does not accept the results")
    for ours, measure in zip(rows[name], measures):
        worst = max(worst, abs(float(ours) - theirs[measure]))
        print(f"{name} {measure}: cytowatch {ours}, py-ctcmetrics {theirs[measure]:.3f}")
sys.exit(f"they differ by {worst:.4f}" if worst > 0.00051 else 0)
