"""Images in tars, as WebDataset has them, each to be had by its number."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from fastload.datasets.exclude_lists import Exclude
from fastload.datasets.sharded_images import ShardedImages
from fastload.datasets.web_stream import WebStream
from fastload.engine import names_files
from fastload.reports import FastloadWarning
from fastload.shards import (
    IMAGES,
    STANDARD_INPUT,
    SampleIndex,
    TarFields,
    index_tars,
    refuse_unfinished,
    shard_list,
    summary_of,
    unclosed,
)


class WebDataset(ShardedImages):
    """Images in tars, in WebDataset's layout: the members ``n01/0001.jpg`` and ``n01/0001.cls`` are one sample.

    Unlike ``webdataset`` it has a length and gives any sample by its number: shuffles are over all samples, every rank has as many
    batches, and an epoch is resumed where it stopped. Where the samples are is found once and kept beside the shards.

    >>> dataset = WebDataset("train-{000000..001281}.tar", transform)  # doctest: +SKIP
    >>> loader = DataLoader(dataset, batch_size=256, shuffle=True)  # doctest: +SKIP

    Args:
        shards: paths; patterns with stars or braces; several with ``::`` between them; a folder of tars; wids' JSON.
        transform: torchvision transform of the RGB image.
        target_transform: of the target.
        image: endings of the image's member, in small letters; of several the first that a sample has.
        target: the same of the target: ``cls`` and the like are integers, ``txt`` is text, ``json`` what the JSON says,
            ``json:label`` one value of it; None: items are images alone.
        exclude: names of samples that are left out, or a file of them, one a line. A sample's name is that of its image's member.
        progress: called with the bytes of each shard that was indexed.
        on_damage: "raise" for a shard that is cut or damaged; "warn" takes the samples before the damage.

    Samples without image or target are left out, with a warning that counts them. Raises ValueError (TarError) for shards that are
    no tars, compressed, or damaged, FileNotFoundError where there are none, and OSError.
    """

    def __init__(
        self,
        shards: Any,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        image: str = IMAGES,
        target: str | None = "cls",
        *,
        exclude: Exclude = None,
        on_damage: str = "raise",
        progress: Callable[[int], None] | None = None,
    ) -> None:
        fields = TarFields.of(image, target)
        index = index_tars(shard_list(shards), fields, on_damage=on_damage, progress=progress)
        for told in _what_to_tell(index):
            warnings.warn(told, FastloadWarning, stacklevel=2)
        super().__init__(index, transform, target_transform, exclude=exclude)

    @staticmethod
    def stream(
        shards: Any,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        image: str = IMAGES,
        target: str | None = "cls",
        *,
        shuffle: bool = True,
        shuffle_buffer: int = 1000,
        seed: int = 0,
        samples_per_epoch: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> WebStream:
        """The same samples as an iterable data set that reads each shard from its beginning to its end: for shards too many to
        index, compressed ones (``.tar.gz``), the output of a command (``pipe:aws s3 cp s3://b/{00..99}.tar -``) and standard
        input (``-``).

        Args:
            shards, transform, target_transform, image, target: as of WebDataset. A command is run by the shell.
            shuffle: shards and samples; False: as they lie.
            shuffle_buffer: so many encoded samples wait in each worker, and one of them is next.
            seed: of order and of torch's random numbers in the transforms.
            samples_per_epoch: of all ranks together, needed where there are several: each gives as many, see WebStream. None: all.
            rank, world_size: of torch.distributed, where None.

        Call ``set_epoch`` before each epoch. Raises ValueError and FileNotFoundError; while it is read TarError and OSError.
        """
        found = shard_list(shards, (".tar", ".tar.gz", ".tgz"))
        refuse_unfinished(path for path in found if path != STANDARD_INPUT)
        return WebStream(
            found,
            TarFields.of(image, target),
            transform,
            target_transform,
            shuffle=shuffle,
            shuffle_buffer=shuffle_buffer,
            seed=seed,
            samples_per_epoch=samples_per_epoch,
            rank=rank,
            world_size=world_size,
        )


def _what_to_tell(index: SampleIndex) -> list[str]:
    facts: list[dict[str, Any]] = index.facts.get("shards", [])
    left_out = summary_of(facts)
    told = [f"WebDataset leaves samples out: {left_out}"] if left_out else []
    open_ended = [shard.shown for shard, one in zip(index.shards, facts, strict=True) if "unclosed" in one]
    if open_ended:
        told.append(unclosed(open_ended))
    return told + [str(one["damage"]) for one in facts if "damage" in one]


names_files(WebDataset)
