"""What the command does with a folder of photographs, as a script of OpenCV alone would do it.

    python benchmarks/opencv_script.py SOURCE TARGET KERNEL THREADS WAY

KERNEL is gaussian:SIGMA:SIDE, or rows of taps as JSON. WAY is "pictures", several pictures at one
time with a thread each, or "filters", one after another with all the threads in each filter.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np


def main() -> None:
    """Read, filter and write every picture."""
    source, target, kernel, threads, way = sys.argv[1:]

    def one(path: Path) -> None:
        x = cv2.imread(str(path))
        assert x is not None
        if kernel.startswith("gaussian:"):
            sigma, side = float(kernel.split(":")[1]), int(kernel.split(":")[2])
            y = cv2.GaussianBlur(x, (side, side), sigma, borderType=cv2.BORDER_REFLECT)
        else:
            taps = np.array(json.loads(kernel), np.float32)
            y = cv2.filter2D(x, -1, taps, borderType=cv2.BORDER_REFLECT)
        cv2.imwrite(str(Path(target) / path.name), y, [cv2.IMWRITE_JPEG_QUALITY, 95])

    paths = sorted(Path(source).iterdir())
    if way == "pictures":
        cv2.setNumThreads(1)
        with ThreadPoolExecutor(int(threads)) as pool:
            list(pool.map(one, paths))
    else:
        cv2.setNumThreads(int(threads))
        for path in paths:
            one(path)


if __name__ == "__main__":
    main()
