"""A conversion on a Ray cluster of several machines, here processes: the same bytes."""

from __future__ import annotations

import importlib.util
import os
import sys
import textwrap

import pytest
import trees

from children import run
from fastload.conversion import convert

# In a process of its own: Ray changes signal handlers, threads and the environment of the one that starts it.
ON_RAY = """
    import os, sys
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray, ray.cluster_utils
    from fastload.conversion import BadSampleError, convert

    def main(src, dst):
        cluster = ray.cluster_utils.Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 << 20}
        )
        cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
        try:
            seen = []
            report = convert(src, dst, ray=cluster.address, shard_size=20_000, progress=lambda p: seen.append(p.samples))
            assert not ray.is_initialized() and seen[-1] == report["samples"], seen
            os.symlink("/nowhere", os.path.join(src, "class1/broken.jpg"))
            try:
                convert(src, dst + "-broken", ray=cluster.address)
            except BadSampleError as error:
                print(error.name, "ended it")
        finally:
            cluster.shutdown()

    main(*sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="ray is not installed")
def test_a_ray_cluster_writes_the_same_bytes(tmp_path):
    src = trees.plain_folder(tmp_path / "src")
    convert(src, tmp_path / "here", shard_size=20_000)
    (tmp_path / "on_ray.py").write_text(textwrap.dedent(ON_RAY))
    ended = run(sys.executable, tmp_path / "on_ray.py", src, tmp_path / "there")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("class1/broken.jpg ended it\n")
    assert len(os.listdir(tmp_path / "here")) > 3
    assert trees.contents(tmp_path / "there") == trees.contents(tmp_path / "here")
