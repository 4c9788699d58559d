"""Checks cytowatch's DET, TRA and SEG against the public package py-ctcmetrics.

    cytowatch evaluate cells --data DIR --only ctc --results OUT > table.txt
    python3 benches/ctc_agreement.py table.txt DIR OUT

The table shows three digits; any difference beyond them ends the script with an error.
"""

import sys
from pathlib import Path

from ctc_metrics.scripts.evaluate import evaluate_sequence

SETS = {"ctc_phc_u373_02": ("02_GT", True), "ctc_phc_psc_01": ("01_GT", False)}

table, data, results = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
rows = {line.split()[0]: line.split()[1:4] for line in table.read_text().splitlines() if line.strip()}
worst = 0.0
for name, (truth, has_outlines) in SETS.items():
    measures = ["DET", "TRA", "SEG"] if has_outlines else ["DET", "TRA"]
    theirs = evaluate_sequence(str(results / name), str(data / name / truth), metrics=["Valid", *measures])
    for place, measure in enumerate(measures):
        ours = float(rows[name][place])
        worst = max(worst, abs(ours - theirs[measure]))
        print(f"{name} {measure}: cytowatch {ours:.3f}, py-ctcmetrics {theirs[measure]:.3f}")
sys.exit(f"they differ by {worst:.4f}" if worst > 0.00051 else 0)
