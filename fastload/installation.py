"""``install()``: scripts that name torch's loader get this package's, without a change to them.

The constructor is what changes, not the name: whoever imported ``DataLoader`` from torch, before or after, has the same class, so
``isinstance``, annotations and pickles go on meaning what they meant, and ``uninstall()`` leaves nothing behind. Another library
may wrap the constructor too, before or after: its wrapper is called once for each loader, and is never taken away.
"""

from __future__ import annotations

import functools
import os
import sys

from fastload.settings_file import by_name, read_settings, with_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

VARIABLE = "FASTLOAD_RUN"  # of the environment: see fastload.processes
EXPLAIN_VARIABLE = "FASTLOAD_EXPLAIN"  # beside it: each loader says on standard error how its batches are made
SETTINGS_VARIABLE = "FASTLOAD_SETTINGS"  # beside it: names a file of settings for every loader
_TORCHS = "torch.utils.data.dataloader"
_PROCESSES = "multiprocessing.process"
_JPEGS = "PIL.JpegImagePlugin"
# Where torchvision's composes are; see fastload/images/torchvision_hooks.py.
_COMPOSES = (
    "torchvision.transforms.functional",
    "torchvision.transforms.transforms",
    "torchvision.transforms.v2._container",
    "torchvision.transforms._presets",
)

# What stands in torch's class stands there for the whole process, and so does what is known about it.
_installed = False
_replaced: dict[Callable[..., None], Callable[..., None]] = {}  # each constructor of ours -> the one below it


def install(*, images: bool = True) -> None:
    """From now on ``torch.utils.data.DataLoader(...)`` makes a :class:`fastload.DataLoader`, by whatever name it was imported.

    Accelerate, ``transformers.Trainer``, timm and Lightning, which make loaders of their own, make this one too. Subclasses of
    torch's loader stay what they are. Installing twice is installing once. Processes that ``multiprocessing`` starts from then on
    do the same, by whatever method they are started.

    Args:
        images: ``PIL.Image.open`` gives the images of :func:`fastload.open`, and torchvision's composes work on them as
            :func:`fastload.native` does; False: Pillow and torchvision are left alone.

    Example:
        >>> import fastload, torch.utils.data
        >>> fastload.install()
        >>> type(torch.utils.data.DataLoader([1, 2])) is fastload.DataLoader
        True
        >>> fastload.uninstall()
        >>> type(torch.utils.data.DataLoader([1, 2])) is fastload.DataLoader
        False
    """
    global _installed
    from torch.utils.data.dataloader import DataLoader as stock

    _installed = True
    if images:
        _install_images()
    else:
        _uninstall_images()
    when_imported(_PROCESSES, functools.partial(_tell_children, images))
    below: Any = stock.__init__
    while below is not None:
        if below in _replaced:
            return
        below = getattr(below, "__wrapped__", None)
    ours = _turning_into_ours(stock, stock.__init__)
    _replaced[ours] = stock.__init__
    stock.__init__ = ours  # type: ignore[method-assign]


def uninstall() -> None:
    """torch's constructor makes torch's loader again. Loaders that were made in between stay what they are.

    Where another library has wrapped the constructor since, its wrapper stays, and what is below it does nothing more.
    """
    global _installed
    _installed = False
    os.environ.pop(VARIABLE, None)
    os.environ.pop(SETTINGS_VARIABLE, None)
    os.environ.pop(EXPLAIN_VARIABLE, None)
    _uninstall_images()
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    if loaded := sys.modules.get(_PROCESSES):
        loaded.current_process()._config.pop("fastload", None)
    if loaded := sys.modules.get(_TORCHS):
        stock = loaded.DataLoader
        while stock.__init__ in _replaced:
            stock.__init__ = _replaced.pop(stock.__init__)


def _install_images() -> None:
    """As soon as the script imports Pillow's JPEGs, or torchvision's transforms."""

    def jpegs() -> None:
        import importlib

        # Past the wing's door, which may be half open: its own import of Pillow's JPEGs leads here, too.
        importlib.import_module("fastload.images.open_image").install_images()

    def composes(module: str) -> None:
        import PIL.JpegImagePlugin  # noqa: F401  which may be waited for, and not in the middle of the next import

        from fastload.images import know_lazy_images

        know_lazy_images(module)

    _stop_waiting_for_images()
    when_imported(_JPEGS, jpegs)
    for module in _COMPOSES:
        when_imported(module, functools.partial(composes, module))


def _stop_waiting_for_images() -> None:
    names = (_JPEGS, *_COMPOSES)
    sys.meta_path[:] = [one for one in sys.meta_path if not (isinstance(one, _Finder) and one.name in names)]


def _uninstall_images() -> None:
    _stop_waiting_for_images()
    if loaded := sys.modules.get("fastload.images"):
        loaded.uninstall_images()


def install_with_torch(images: bool = True) -> None:
    """:func:`install`, as soon as somebody imports torch's loader: what a script does before it imports torch still counts."""
    when_imported(_TORCHS, functools.partial(install, images=images))
    when_imported(_PROCESSES, functools.partial(_tell_children, images))


def when_imported(name: str, then: Callable[[], None]) -> None:
    """Calls ``then`` after the import of a module: now, if it has been imported already."""
    if name in sys.modules:
        then()
    else:
        sys.meta_path.insert(0, _Finder(name, then))


def _turning_into_ours(stock: type, init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        if not _installed or type(self) is not stock:
            init(self, *args, **kwargs)
            return
        from fastload.loader import DataLoader

        if VARIABLE in os.environ and SETTINGS_VARIABLE in os.environ:
            settings = read_settings(os.environ[SETTINGS_VARIABLE])
            args, kwargs = (), with_settings(settings, by_name(DataLoader, args, kwargs))
        self.__class__ = DataLoader
        self.__dict__["_torch_init"] = functools.partial(init, self)  # whoever wrapped this one has had its turn
        self.__init__(*args, **kwargs)  # type: ignore[misc]  # it is of this class and no other

    return construct


class _Finder:
    """On ``sys.meta_path``: waits for the import of a module, and is gone when it comes; ``then`` is called after it."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self.name = name
        self._then = then

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self.name:
            return None
        import importlib.util

        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Executing(spec.loader, self._then)  # type: ignore[assignment]
        return spec


class _Executing:
    """A module's own loader, and what is to be called after it."""

    def __init__(self, loader: Loader, then: Callable[[], None]) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._then()


def _tell_children(images: bool) -> None:
    # A process inherits its parent's configuration; spawned and forkserver ones unpickle it, after the script's imports.
    process = sys.modules[_PROCESSES]
    process.current_process()._config["fastload"] = _Arriving(images)


class _Arriving:
    """Pickled in one process, it installs the loader in the other."""

    def __init__(self, images: bool) -> None:
        self._images = images

    def __reduce__(self) -> tuple[Callable[[bool], _Arriving], tuple[bool]]:
        return _arrive, (self._images,)


def _arrive(images: bool) -> _Arriving:
    install_with_torch(images)
    return _Arriving(images)
