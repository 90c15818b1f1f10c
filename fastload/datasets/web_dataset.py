"""Images in tars, as WebDataset has them, each to be had by its number."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from fastload.datasets.excluded_names import Exclude
from fastload.datasets.sharded_images import ShardedImages
from fastload.engine import names_files
from fastload.reports import FastloadWarning
from fastload.shards import IMAGES, TarFields, index_tars, shard_list, summary_of


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
    ) -> None:
        index = index_tars(shard_list(shards), TarFields.of(image, target), on_damage=on_damage)
        for told in _what_to_tell(index.facts.get("shards", [])):
            warnings.warn(told, FastloadWarning, stacklevel=2)
        super().__init__(index, transform, target_transform, exclude=exclude)


def _what_to_tell(facts: list[dict[str, Any]]) -> list[str]:
    left_out = summary_of(facts)
    told = [f"WebDataset leaves samples out: {left_out}"] if left_out else []
    return told + [str(one["damage"]) for one in facts if "damage" in one]


names_files(WebDataset)
