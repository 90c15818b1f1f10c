"""What runs before the first line of a script under ``fastload run`` or ``profile``: Python imports this file by its name.

It takes back what made Python find it, so that the script sees what it would see without it.
"""

import os
import sys

_here = os.path.dirname(__file__)
sys.path.remove(_here)
sys.path_importer_cache.pop(_here, None)
_theirs = os.environ.pop("PYTHONPATH")[len(_here) + 1 :]
if _theirs:
    os.environ["PYTHONPATH"] = _theirs

try:
    import fastload.installation
except ModuleNotFoundError:  # a checkout that was only to be found from where the command was given
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(_here))))
    import fastload.installation
if "FASTLOAD_PROFILE" in os.environ:
    import fastload.diagnosis

    fastload.diagnosis.record_with_torch(os.environ.pop("FASTLOAD_PROFILE"))
else:
    fastload.installation.install_with_torch()

del sys.modules[__name__]
import sitecustomize  # noqa: E402, F401  the user's own; that there is none is what Python expects
