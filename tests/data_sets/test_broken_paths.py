"""What a path object raises when it is asked for its path."""

from __future__ import annotations

import pytest
import torch.utils.data
import torchvision.transforms as T
from torchvision.datasets import ImageFolder

import fastload
from images import write_folder


class Unanswering:
    def __fspath__(self):
        raise RuntimeError("no answer")


@pytest.mark.parametrize("Loader", [torch.utils.data.DataLoader, fastload.DataLoader])
def test_errors_of_path_objects_keep_their_type(tmp_path, Loader):
    folder = ImageFolder(
        str(write_folder(tmp_path, classes=1, images=2, largest=48)), T.Compose([T.Resize((8, 8)), T.ToTensor()])
    )
    folder.samples[1] = Unanswering(), 0
    with pytest.raises(RuntimeError, match="no answer"):
        list(Loader(folder))
