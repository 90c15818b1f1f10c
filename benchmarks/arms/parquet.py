"""Hugging Face ``datasets``: the same encoded files in Parquet, written once, read as its users do: by way of its Arrow cache."""

from __future__ import annotations

from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from benchmarks.arms import Options, tensors


def _write(file: Path, data: Path) -> None:
    samples = ImageFolder(data).samples
    images = [{"bytes": Path(path).read_bytes(), "path": Path(path).name} for path, _ in samples]
    table = pyarrow.table({"image": images, "label": [target for _, target in samples]})
    pyarrow.parquet.write_table(table, file, row_group_size=100)


class Arm:
    """``set_transform`` on a map-style data set in torch's loader; the bytes go to torchvision, not to PIL."""

    CLAIMS_EQUALITY = False

    def __init__(self, options: Options) -> None:
        file = options.converted("data.parquet", lambda path: _write(path, options.data))
        crop = tensors.CROPS[options.workload]

        def transform(rows):
            return {
                "image": [crop(tensors.decode(image["bytes"])) for image in rows["image"]],
                "label": rows["label"],
            }

        datasets.disable_progress_bars()
        data = datasets.load_dataset("parquet", data_files=str(file), split="train", cache_dir=str(file.parent / "hf"))
        data = data.cast_column("image", datasets.Image(decode=False))
        data.set_transform(transform)
        self.loader = DataLoader(
            data, options.batch_size, shuffle=options.workload == "train", num_workers=options.workers
        )

    def epoch(self):
        for batch in self.loader:
            yield tensors.finish(batch["image"]), batch["label"]
