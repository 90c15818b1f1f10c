"""Images in TFRecord files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Literal

from fastload.datasets.exclude_lists import Exclude
from fastload.datasets.sharded_images import ShardedImages
from fastload.engine import names_files
from fastload.reports import FastloadWarning
from fastload.shards import find_tfrecords, index_tfrecords


class TFRecord(ShardedImages):
    """Encoded images in TFRecord files of ``tf.train.Example``, read without TensorFlow, in any order.

    Args:
        files: a file, a pattern (``"train-?????-of-01024"``), a folder, or several of these.
        transform: torchvision transform of the RGB image.
        target_transform: of the target.
        image: the feature with the encoded image; where ``image/encoded`` is missing, ``image`` (TFDS), ``image_raw`` or
            ``jpg``.
        target: the feature with the label; where ``image/class/label`` is missing, ``label`` (TFDS), or there are no targets.
            None: no targets.
        check: when the checksums of the data are looked at: "first" (when the files are indexed, which is once), "always"
            (each time an image is read, too) or "never". Those of lengths always are, while the files are indexed.
        label_base: the label of class 0. None: 1 where all labels are 1 to 1000 and classes are named, as TensorFlow's scripts
            write ImageNet (a FastloadWarning says so); else 0.
        exclude: names of samples that are left out, or a file of names, one a line.

    Items are ``(image, target)``: the target an int counted from 0, str for a label of bytes, a list for one of several numbers.
    A sample's name is its ``image/filename`` (TFDS: ``file_name``) where all have one of their own; else the file's name and the
    record's number.

    Raises:
        ValueError: a damaged or compressed file, or one with other features; the message names file, record and offset.
        OSError: a file that cannot be read.

    Attributes:
        classes, class_to_idx: as ImageFolder has them; empty where the files do not name every class.
        facts: what was found: ``features``, ``label_base``, ``classes``.
    """

    def __init__(
        self,
        files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        image: str = "image/encoded",
        target: str | None = "image/class/label",
        *,
        check: Literal["first", "always", "never"] = "first",
        label_base: int | None = None,
        exclude: Exclude = None,
    ) -> None:
        index = index_tfrecords(find_tfrecords(files), image, target, check, label_base)
        super().__init__(index, transform, target_transform, exclude=exclude)
        self.facts = index.facts
        if index.facts.get("label_base") and label_base is None:
            warnings.warn(
                f"the labels in {index.shards[0].path} are counted from 1, as TensorFlow's scripts write ImageNet; here they "
                "are counted from 0, as torchvision's are. label_base=1 says that this is right, label_base=0 leaves them as "
                "they are",
                FastloadWarning,
                stacklevel=2,
            )


names_files(TFRecord)
