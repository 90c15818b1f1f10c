"""timm's ``ImageDataset`` over a folder, as a data set that names files."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import PIL.Image
from torchvision.datasets.folder import pil_loader

from fastload.engine.file_dataset import FileDataset
from fastload.reports import NotNative
from fastload.transforms import reach

_HOME, _READERS = "timm.data.dataset", "timm.data.readers.reader_image_folder"
# The names in the code of the versions that are known. They give the next sample in the place of one that cannot be opened, newer
# ones also of one that cannot be decoded.
_DECODES = (
    *("range", "_max_retries", "reader", "load_bytes", "read", "Image", "open", "input_img_mode", "convert", "IOError"),
    *("OSError", "_logger", "warning", "len", "RuntimeError", "transform", "target_transform", "additional_features"),
)
_OPENS = (
    *(
        "range",
        "_max_retries",
        "reader",
        "load_bytes",
        "read",
        "Image",
        "open",
        "IOError",
        "OSError",
        "_logger",
        "warning",
    ),
    *("len", "RuntimeError", "input_img_mode", "convert", "transform", "target_transform", "additional_features"),
)
_READ = ("samples", "open")


def is_of_timm(dataset: Any) -> bool:
    """Whether it is timm's ``ImageDataset``."""
    module = sys.modules.get(_HOME)
    return module is not None and type(dataset) is getattr(module, "ImageDataset", None)


def timm_files_of(dataset: Any, *, frozen: bool = False) -> FileDataset:
    """The data set, if its files are those of a folder and opened as torchvision opens them; raises NotNative if not."""
    reader, readers = dataset.reader, sys.modules.get(_READERS)
    name = f"the data set {_HOME}.ImageDataset"
    if readers is None or type(reader) is not getattr(readers, "ReaderImageFolder", None):
        raise NotNative(f"{name} has a reader of other things than folders")
    codes = [getattr(type(one).__getitem__, "__code__", None) for one in (dataset, reader)]
    item, read = (getattr(code, "co_names", None) for code in codes)
    if item not in (_DECODES, _OPENS) or read != _READ or "open" in vars(readers):
        raise NotNative(f"{name} is one of a version of timm that is not known")
    if vars(sys.modules[_HOME]).get("Image") is not PIL.Image:
        raise NotNative(f"Image was replaced in {_HOME}")
    if dataset.load_bytes or dataset.input_img_mode != "RGB" or dataset.additional_features is not None:
        raise NotNative(f"{name} gives other things than RGB images and targets")
    if why := reach(pil_loader).what_changed():
        raise NotNative(why)
    return TimmFiles(dataset, True, pil_loader, (), list(reader.samples) if frozen else None)


@dataclass(frozen=True)
class TimmFiles(FileDataset):
    """Its samples are the reader's."""

    def rests_on(self) -> tuple[Any, ...]:
        dataset, kind, reader = self.dataset, type(self.dataset), type(self.dataset.reader)
        given = (dataset.reader, dataset.load_bytes, dataset.input_img_mode, dataset.additional_features)
        return kind, reader, kind.__getitem__.__code__, reader.__getitem__.__code__, *given

    @property
    def samples(self) -> Sequence[tuple[Any, Any]]:
        return self.dataset.reader.samples if self.frozen is None else self.frozen

    def load(self, path: Any) -> Any:
        return pil_loader(path)

    def load_of(self, index: int, instead: Callable[[Any], None]) -> Callable[[Any], Any]:
        decodes_at_once = type(self.dataset).__getitem__.__code__.co_names == _DECODES

        def load(path: Any) -> Any:
            at, samples = index, self.samples
            for _ in range(self.dataset._max_retries):
                path, target = samples[at]
                with contextlib.ExitStack() as files:
                    try:
                        image: Any = PIL.Image.open(files.enter_context(open(path, "rb")))
                        if decodes_at_once:
                            image = image.convert("RGB")
                    except OSError as error:
                        sys.modules[_HOME]._logger.warning(f"Skipped sample (index {at}). {error}")
                        at = (at + 1) % len(samples)
                        continue
                    instead(target)
                    return image if decodes_at_once else image.convert("RGB")
            raise RuntimeError(f"Failed to load {self.dataset._max_retries} consecutive samples")

        return load
