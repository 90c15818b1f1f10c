"""How fast copies to the GPU are, from pinned memory and from pageable memory: what ``pin_memory`` can give."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from fastload.diagnosis.read_gpus import copy_bandwidth

_SECONDS = 1.0
_PINNED, _TURNS = 64 * 2**20, 5  # bytes, and how often: the first makes what others find
_LATE_S = 60.0  # torch and the driver start, too
_CODE = "import json\nfrom fastload.diagnosis.copy_experiment import copies_here\nprint(json.dumps(copies_here()))"


def copies_here(device: int = 0) -> dict[str, float]:
    """``pinned_bytes_per_s`` and ``pageable_bytes_per_s``, in this process, which has CUDA then; ``pinning_bytes_per_s``: how fast
    one thread pins what a worker has sent, where there is shared memory."""
    pinned, pageable = (copy_bandwidth(device, is_pinned, _SECONDS / 2) for is_pinned in (True, False))
    found = {"pinned_bytes_per_s": pinned, "pageable_bytes_per_s": pageable}
    with contextlib.suppress(OSError, RuntimeError), tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        file.write(bytes(_PINNED))
        file.flush()
        found["pinning_bytes_per_s"] = _PINNED / min(_pinned(file.name) for _ in range(_TURNS))
    return found


def _pinned(name: str) -> float:
    """Seconds for memory that this process sees for the first time, as each batch's is; it is let go of, too."""
    import torch

    began = time.perf_counter()
    torch.from_file(name, shared=True, size=_PINNED, dtype=torch.uint8).pin_memory()
    return time.perf_counter() - began


def copies() -> dict[str, Any]:
    """The same in a process of its own; ``error`` where it could not be measured."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FASTLOAD_")}
    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = f"import sys\nsys.path.append({folder!r})\n{_CODE}"
    try:
        ended = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=_LATE_S, check=False
        )
        return dict(json.loads(ended.stdout)) if ended.returncode == 0 else {"error": ended.stderr.strip()[-300:]}
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return {"error": f"{type(error).__name__}: {error}"[:300]}
