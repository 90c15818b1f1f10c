"""What public functions give, by the names that the documentation has for it."""

from __future__ import annotations

import fastload
import fastload.conversion
import fastload.datasets
from fastload.conversion import Finding, SourceInfo, Verification
from images import write_folder


def test_verify_and_describe_give_what_is_described(tmp_path):
    root = write_folder(tmp_path / "photos", classes=2, images=2, largest=40)
    (root / "class0" / "000.jpg").write_bytes(b"no photo")
    dataset = fastload.datasets.open_source(root)
    found = fastload.conversion.verify_samples(dataset)
    assert isinstance(found, Verification) and found.samples == 4
    (bad,) = found.bad
    assert isinstance(bad, Finding) and bad.name == "class0/000.jpg" and bad.index == 0
    assert found.as_dict()["bad"][0]["name"] == "class0/000.jpg"
    info = fastload.conversion.describe(dataset)
    assert isinstance(info, SourceInfo) and info.samples == 4 and set(info.classes) == {"class0", "class1"}
    assert info.as_dict()["samples"] == 4


def test_the_ledger_holds_sample_errors(tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no photo")
    (good,) = write_folder(tmp_path / "photos", classes=1, images=1, largest=40).glob("*/*.jpg")
    import torchvision.transforms as T

    files = fastload.ImageFiles([bad, good], [0, 1], T.Compose([T.Resize((8, 8)), T.ToTensor()]))
    loader = fastload.DataLoader(files, batch_size=2, on_error="skip")
    assert [targets.tolist() for _, targets in loader] == [[1]]
    (error,) = loader.errors
    assert isinstance(error, fastload.SampleError) and error.index == 0 and error.path == str(bad)


def test_a_profile_is_text_values_and_a_page(tmp_path):
    with fastload.profile() as p:
        for _ in fastload.DataLoader(range(4), batch_size=2):
            pass
    assert p.json()["verdict"]["kind"] == "not_enough_data" and p.report()
    p.html(tmp_path / "it.html")
    assert (tmp_path / "it.html").read_text().lstrip().lower().startswith("<!doctype html>")
