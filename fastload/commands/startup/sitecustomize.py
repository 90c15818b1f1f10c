"""What runs before the first line under ``fastload profile``, and under ``fastload run`` where fastload is not installed.

Python imports this file by its name, as PYTHONPATH leads here. Other Pythons that the script starts may meet it too, however old.
"""

import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [_folder for _folder in sys.path if _folder != _here]
sys.path_importer_cache.pop(_here, None)
_profile = os.environ.pop("FASTLOAD_PROFILE", None)
_run = os.environ.get("FASTLOAD_RUN")
if _run is None:  # the processes that the script starts are to find what they would find without us
    _theirs = [_folder for _folder in os.environ.pop("PYTHONPATH", _here).split(os.pathsep) if _folder != _here]
    if _theirs:
        os.environ["PYTHONPATH"] = os.pathsep.join(_theirs)

# As fastload.processes.this_python() has it; another Python is left as it is.
if _profile is not None or _run == "%x %s" % (sys.hexversion, os.path.realpath(sys.prefix)):  # noqa: UP031
    try:
        import fastload.processes
    except ImportError:  # a checkout that was only to be found from where the command was given
        sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(_here))))
        import fastload.processes
    fastload.processes.begin()
    if _profile is not None:
        import fastload.diagnosis

        fastload.diagnosis.record_with_torch(_profile)

del sys.modules[__name__]
import sitecustomize  # noqa: E402, F401  the user's own; that there is none is what Python expects
