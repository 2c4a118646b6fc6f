"""The conventions of other libraries, as data.

``faltung.convolve(x, k, dialect="cv2.filter2D")`` gives that function's answer. A dialect names a
function, so that it decides between convolution and correlation too; what is given in the call
(mode, boundary, anchor, dtype) goes before what the function would take.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from faltung.dtypes import Array
from faltung.problem import Options
