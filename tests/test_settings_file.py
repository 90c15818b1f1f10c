"""``fastload.toml``: what tune writes, from_settings and ``fastload run --settings`` apply; what is no setting is named."""

from __future__ import annotations

import sys

import pytest
import torch.utils.data
from click.testing import CliRunner

import fastload
from children import run
from fastload.commands import main
from fastload.settings_file import read_settings, settings_text

ALL = {
    "num_workers": 3,
    "prefetch_factor": 4,
    "persistent_workers": True,
    "pin_memory": False,
    "threads": 2,
    "device": "cpu",
    "decode": "cpu",
    "cache": "encoded",
    "cache_bytes": 1000,
}


def test_what_is_written_is_read(tmp_path):
    (tmp_path / "it.toml").write_text(settings_text(ALL, ["two\nlines", 'a "remark"']))
    assert read_settings(tmp_path / "it.toml") == ALL
    assert read_settings(str(tmp_path / "it.toml")) == ALL


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[loader]\nnum_wokers = 2", "'num_wokers' is none of the settings"),
        ("[loder]\n", "'loder' is not known"),
        ("loader = 3", "'loader' should be a table"),
        ("[loader]\nnum_workers = '2'", "num_workers should be an integer, 0 or more, but is '2'"),
        ("[loader]\nnum_workers = true", "num_workers should be"),
        ("[loader]\nnum_workers = -1", "num_workers should be"),
        ("[loader]\npin_memory = 1", "pin_memory should be true or false"),
        ("[loader]\nthreads = 'many'", "threads should be"),
        ("[loader]\nthreads = 0", "threads should be a positive integer"),
        ("[loader]\nprefetch_factor = 0", "prefetch_factor should be a positive integer, but is 0"),
        ("[loader]\ncache = 'zip'", 'cache should be "encoded" or "decoded", but is \'zip\''),
        ("[loader]\ncache_bytes = 10", "cache_bytes needs a cache"),
        ("[loader]\ndecode = 'fpga'", "decode should be"),
        ("[loader]\ndecode = 'gpu'", "needs a device"),
        ("[loader", "is no TOML"),
        ("[loader]\ndevice = '\udcff'", "is no TOML"),
    ],
)
def test_what_is_no_setting_is_named(tmp_path, text, what):
    path = tmp_path / "it.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=r"it\.toml") as error:
        fastload.DataLoader.from_settings(path, [1, 2, 3])
    assert what in str(error.value)


def test_a_byte_order_mark_is_none_of_the_settings(tmp_path):
    (tmp_path / "it.toml").write_bytes(b"\xef\xbb\xbf[loader]\r\nthreads = 2\r\n")
    assert read_settings(tmp_path / "it.toml") == {"threads": 2}


def test_what_the_call_gives_need_not_be_in_the_file(tmp_path):
    (tmp_path / "it.toml").write_text('[loader]\ndecode = "gpu"\n')
    assert read_settings(tmp_path / "it.toml", ["device"]) == {"decode": "gpu"}


def test_a_loader_from_settings(tmp_path):
    path = tmp_path / "it.toml"
    path.write_text("[loader]\nnum_workers = 2\nprefetch_factor = 5\npersistent_workers = true\nthreads = 1\n")
    loader = fastload.DataLoader.from_settings(path, [1, 2, 3], batch_size=2)
    assert (loader.num_workers, loader.prefetch_factor, loader.persistent_workers, loader.threads) == (2, 5, True, 1)
    assert type(fastload.StatefulDataLoader.from_settings(path, [1, 2])) is fastload.StatefulDataLoader
    without = fastload.DataLoader.from_settings(path, [1, 2, 3], batch_size=2, num_workers=0)
    assert [batch.tolist() for batch in without] == [[1, 2], [3]]
    assert fastload.DataLoader.from_settings(path, [1], prefetch_factor=3).prefetch_factor == 3
    with pytest.raises(OSError, match=r"no\.toml"):
        fastload.DataLoader.from_settings(tmp_path / "no.toml", [1])


SCRIPT = """
import os, sys
import multiprocessing
from torch.utils.data import DataLoader, Dataset

class Items(Dataset):
    def __len__(self): return 4
    def __getitem__(self, index): return index

def show():
    loader = DataLoader(Items(), 2, False, None, None, 0, timeout=0)
    print(type(loader).__module__, loader.batch_size, loader.num_workers, loader.prefetch_factor, flush=True)

if __name__ == "__main__":
    show()
    if sys.argv[1:]:
        process = multiprocessing.get_context("spawn").Process(target=show)
        process.start()
        process.join()
    try:
        DataLoader(Items(), 2, batch_size=2)
    except TypeError as error:
        print(error)
"""


@pytest.mark.parametrize("spawn", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_script_under_run_has_the_settings(tmp_path, spawn):
    (tmp_path / "it.toml").write_text("[loader]\nnum_workers = 1\nprefetch_factor = 5\n")
    (tmp_path / "train.py").write_text(SCRIPT)
    ended = run(
        sys.executable, "-m", "fastload", "run", "--settings", "it.toml", "train.py", *["spawn"] * spawn, cwd=tmp_path
    )
    shown = "fastload.loader 2 1 5\n"
    multiple = "DataLoader() got multiple values for argument 'batch_size'\n"
    assert ended.stdout == f"{shown}{shown * spawn}{multiple}", ended.stderr
    (tmp_path / "it.toml").write_text("[loader]\nworkers = 1\n")
    ended = CliRunner().invoke(main, ["run", "--settings", str(tmp_path / "it.toml"), "train.py"])
    assert ended.exit_code == 2 and "'workers' is none of the settings" in ended.output


def test_torchs_loader_is_left_alone():
    assert not hasattr(torch.utils.data.DataLoader, "from_settings")
