"""Time what a first epoch waits for: importing faltung.nn, and learning the 1,797 digits once.

    python benchmarks/first_epoch.py [--rounds N] [--json FILE]

Each figure is of processes of their own, in turns; printed are medians, and the extremes. The epoch
is of a network of three blocks of convolution, batch norm and relu (24,058 parameters) on
scikit-learn's digits in batches of 64, from the first line of the process, imports of NumPy and of
faltung.nn included, to the end of the epoch. PyTorch is imported the same way and does nothing.
Python keeps the modules' bytecode, as it does of what is installed; a first round is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CLOCK = """
import json, sys, time
began = time.perf_counter(), time.process_time()
def told():
    now = time.perf_counter(), time.process_time()
    print(json.dumps([b - a for a, b in zip(began, now)]))
"""
BODIES = {
    "import numpy": "import numpy; told()",
    "import numpy, faltung.nn": "import numpy, faltung.nn; told()",
    "first epoch": """
import numpy as np
from faltung import nn
held = np.load(sys.argv[1])
x, y = held["x"][:, None], held["y"]
network = nn.Sequential(
    [nn.Standardise(float(x.mean()), float(x.std())),
     *(node.layer for node in nn.small_cnn((1, 8, 8), widths=(16, 32, 64)).nodes)], (1, 8, 8))
history = nn.Trainer(network, optimiser=nn.Adam(0.01), epochs=1).fit(x, y)
assert history[0].accuracy > 0.5, history
told()
""",
    "import torch": "import torch; told()",
}


def timed(body: str, data: str) -> tuple[float, float]:
    """Return the seconds and the processor seconds of a process, from its first line."""
    command = [sys.executable, "-c", CLOCK + body, data]
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=kept)
    wall, processor = json.loads(found.stdout)
    return wall, processor


def main() -> int:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the times to this file")
    asked = parser.parse_args()
    import numpy as np

    try:
        from sklearn.datasets import load_digits
    except ImportError:
        print("scikit-learn, whose digits these are, is not installed.", file=sys.stderr)
        return 1
    digits = load_digits()
    bodies = dict(BODIES)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in bodies}
    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder) / "digits.npz")
        np.savez(data, x=digits.images.astype("f4"), y=digits.target)
        for number in range(asked.rounds + 1):  # the first fills the caches of files
            for name, body in list(bodies.items()):
                try:
                    found = timed(body, data)
                except subprocess.CalledProcessError:
                    if name != "import torch":
                        raise
                    del bodies[name], times[name]
                    continue
                if number:
                    times[name].append(found)
    print(f"{'seconds':26}   median    least     most   processor")
    for name, each in times.items():
        walls = [wall for wall, _ in each]
        processor = statistics.median(p for _, p in each)
        shown = (statistics.median(walls), min(walls), max(walls))
        print(f"{name:26} {''.join(f'{t:9.3f}' for t in shown)}   {processor:9.3f}")
    pairs = list(zip(*list(times.values())[:2], strict=True))
    more, of_processor = (statistics.median(b[i] - a[i] for a, b in pairs) for i in (0, 1))
    print(f"{'faltung.nn adds to numpy':26} {more:9.3f}{of_processor:30.3f}")
    if asked.json:
        asked.json.write_text(json.dumps(times, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
