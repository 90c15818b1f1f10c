"""torch's own loader over fastload's data set: where something insists on torch's class, ``__getitems__`` decodes natively."""

from __future__ import annotations

import fastload
from benchmarks.arms import stock_pil


class Arm(stock_pil.Arm):
    """Equal to ``stock_pil``, or no speed is printed."""

    FOLDER = fastload.ImageFolder
