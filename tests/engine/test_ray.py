"""A Ray cluster of three nodes on this machine, and what can happen to it."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from crested_like._errors import EngineError
from crested_like.engine import Ray

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'crested_like[ray]'")
pytestmark = pytest.mark.cluster

#: A processor of a node, a worker each.
ENGINE = Ray(processors=1)


@pytest.fixture(autouse=True, scope="module")
def _by_value():
    """Workers cannot import this file."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.workers = [made.add_node(num_cpus=1) for _ in range(3)]
    made.wait_for_nodes()
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


class Noting:
    """Writes a line for every unit that is begun, and one when it is stored."""

    def __init__(self, folder: Path, seconds: float = 0.05) -> None:
        self.folder, self.seconds = folder, seconds

    def do(self, units):
        for unit in units:
            self.begin(unit)
            time.sleep(self.seconds)
            (self.folder / f"stored_{unit}").write_text(str(unit**2))
            yield ray.get_runtime_context().get_node_id()

    def begin(self, unit):
        with (self.folder / "begun").open("a") as file:
            file.write(f"{unit}\n")

    def first_time(self, unit):
        return not (self.folder / "begun").read_text().split().count(str(unit)) > 1


def begun(folder: Path) -> Counter:
    return Counter(map(int, (folder / "begun").read_text().split()))


def check_complete(folder: Path, answers: list, count: int) -> None:
    assert sorted(unit for unit, _ in answers) == list(range(count)), "each once"
    for unit in range(count):
        assert (folder / f"stored_{unit}").read_text() == str(unit**2)


def test_all_nodes_do_units_and_none_twice(cluster, tmp_path):
    answers = list(ENGINE.run(Noting(tmp_path), range(30)))
    check_complete(tmp_path, answers, 30)
    assert len({node for _, node in answers}) == 3
    assert set(begun(tmp_path).values()) == {1}


def test_no_more_workers_than_units(cluster, tmp_path):
    answers = list(ENGINE.run(Noting(tmp_path), [7]))
    assert [unit for unit, _ in answers] == [7]


def test_nothing_to_do(cluster, tmp_path):
    assert list(ENGINE.run(Noting(tmp_path), [])) == []


class Killed(Noting):
    """The worker of unit 5 is killed the first time, as by a machine that has no memory left."""

    def begin(self, unit):
        super().begin(unit)
        if unit == 5 and self.first_time(unit):
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_loses_nothing(cluster, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        answers = list(ENGINE.run(Killed(tmp_path), range(20)))
    check_complete(tmp_path, answers, 20)
    assert {unit for unit, times in begun(tmp_path).items() if times > 1} == {5}
    assert "A worker was lost: worker" in caplog.text
    assert "Done, after this: a worker was lost (1x)." in caplog.text


def test_a_lost_node_loses_nothing(cluster, tmp_path, caplog):
    answers = []
    with caplog.at_level(logging.WARNING):
        for answer in ENGINE.run(Noting(tmp_path, 0.2), range(30)):
            answers.append(answer)
            if len(answers) == 6:
                cluster.remove_node(cluster.workers[0], allow_graceful=False)
    check_complete(tmp_path, answers, 30)
    assert "A worker was lost" in caplog.text


class Hungry(Noting):
    """Unit 5 asks for more memory than its process may have, the first time."""

    def begin(self, unit):
        super().begin(unit)
        if unit == 5 and self.first_time(unit):
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34))
            bytearray(2**35)


def test_no_memory_for_a_unit(cluster, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        answers = list(ENGINE.run(Hungry(tmp_path), range(20)))
    check_complete(tmp_path, answers, 20)
    assert "A unit failed: unit 5 on worker" in caplog.text
    assert "MemoryError" in caplog.text


class FullDisk(Noting):
    """The node that gets unit 5 first has a full disk from then on."""

    def begin(self, unit):
        super().begin(unit)
        node = ray.get_runtime_context().get_node_id()
        full = self.folder / "full"
        if unit == 5 and not full.exists():
            full.write_text(node)
        if full.exists() and full.read_text() == node:
            with open("/dev/full", "wb") as file:
                file.write(b"x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_on_one_node(cluster, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        answers = list(ENGINE.run(FullDisk(tmp_path), range(20)))
    check_complete(tmp_path, answers, 20)
    full = (tmp_path / "full").read_text()
    assert f"A machine got no more work: node {full}: OSError: [Errno {errno.ENOSPC}] No space left" in caplog.text


class Hopeless(Noting):
    def begin(self, unit):
        super().begin(unit)
        if unit == 5:
            raise ValueError("no such chromosome")


def test_a_unit_that_fails_everywhere_ends_the_run(cluster, tmp_path):
    with pytest.raises(EngineError, match=r"Unit 5 failed 3 times\. The last: ValueError: no such chromosome"):
        list(ENGINE.run(Hopeless(tmp_path), range(20)))
    assert begun(tmp_path)[5] == 3


class CannotStart(Noting):
    def __setstate__(self, state):
        raise OSError("no such model")


def test_workers_that_do_not_start(cluster, tmp_path):
    with pytest.raises(EngineError, match=r"3 workers did not start, one after the other\. The last: .*"):
        list(ENGINE.run(CannotStart(tmp_path), range(4)))


def test_workers_have_their_threads(cluster, tmp_path):
    class Asked(Noting):
        def do(self, units):
            for _ in units:
                yield os.environ["OMP_NUM_THREADS"], os.environ["MINE"]

    [(_, found)] = Ray(processors=1, environment={"MINE": "yes"}).run(Asked(tmp_path), [0])
    assert found == ("1", "yes")


def test_no_cluster_at_an_address():
    with pytest.raises(EngineError, match=r"No Ray cluster answers at 127\.0\.0\.1:1: "):
        next(Ray(address="127.0.0.1:1").run(Noting(Path()), [0]))
