"""Pictures: reading, filtering, edges, contact sheets, and writing.

A picture is an array: (H, W) grey, (H, W, 2) grey with alpha, (H, W, 3) RGB, or (H, W, 4) RGB with
alpha, of uint8, uint16, uint32, int16, int32, float32 or float64. :func:`read` and :func:`write`
take and give such an array; :func:`load` and :func:`save` take and give a :class:`Picture`: every
frame or page, and what the file says beside its pixels (colour profile, resolution, EXIF). Pillow
reads and writes; what it cannot hold, such as colours of 16 bits, goes through imagecodecs and
tifffile, which the extra ``faltung[deep]`` brings. Depth and alpha stay unless
:func:`converted` and :func:`flattened` are asked to change them.
"""

from faltung.files import replace_whole
from faltung.image.converting import converted, flattened
from faltung.image.filtering import SIGNED, filter, filter_plan, filter_plans
from faltung.image.formats import FORMATS, LARGEST, ImageError
from faltung.image.gradients import Edges, edges
from faltung.image.picture import Metadata, Picture
from faltung.image.reading import load, loads, read, size
from faltung.image.sheets import compare, contact_sheet
from faltung.image.writing import check_target, encode, save, write

__all__ = [
    "FORMATS",
    "LARGEST",
    "SIGNED",
    "Edges",
    "ImageError",
    "Metadata",
    "Picture",
    "check_target",
    "compare",
    "contact_sheet",
    "converted",
    "edges",
    "encode",
    "filter",
    "filter_plan",
    "filter_plans",
    "flattened",
    "load",
    "loads",
    "read",
    "replace_whole",
    "save",
    "size",
    "write",
]
