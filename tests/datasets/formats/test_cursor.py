from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest

from crested_like._errors import DatasetError
from crested_like.datasets.formats import _cursor
from crested_like.datasets.formats._cursor import Cursors, RecordFile


@pytest.fixture
def payloads(rng):
    """Records that compress well and badly, small and of several chunks."""
    sizes = [40_000, 0, 7, 100_000, 30_000]
    return [
        rng.integers(0, top, size, dtype="u1").tobytes() for size, top in zip(sizes, (256, 2, 2, 3, 256), strict=True)
    ]


@pytest.fixture(params=["zlib", "gzip", "plain"])
def path(request, tmp_path, payloads, writer):
    path = tmp_path / "train-0.tfr"
    path.write_bytes(writer.COMPRESS[request.param](b"".join(map(writer.record, payloads))))
    return path


def small_file(path, writer, count, size=10):
    payloads = [bytes([i % 256]) * size for i in range(count)]
    path.write_bytes(writer.COMPRESS["zlib"](b"".join(map(writer.record, payloads))))
    return payloads


def test_records_in_every_order(path, payloads):
    for order in permutations(range(len(payloads))):
        cursors = Cursors()
        for number in (*order, *order):
            assert cursors.read(path, number) == payloads[number]


def test_gzip_of_several_members(tmp_path, payloads, writer):
    path = tmp_path / "train-0.tfr"
    path.write_bytes(b"".join(writer.COMPRESS["gzip"](writer.record(payload)) for payload in payloads))
    cursors = Cursors()
    assert [cursors.read(path, number) for number in (4, 0, 3, 1, 2)] == [payloads[n] for n in (4, 0, 3, 1, 2)]


def test_several_threads(path, payloads, rng):
    cursors = Cursors(look_back=50_000)
    wanted = rng.integers(0, len(payloads), 200).tolist()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: cursors.read(path, number), wanted))
    assert found == [payloads[number] for number in wanted]


def test_reading_in_order_decompresses_once(path, payloads, monkeypatch):
    read = []
    record = _cursor._Stream.record
    monkeypatch.setattr(_cursor._Stream, "record", lambda self, n: read.append(n) or record(self, n))
    cursors = Cursors()
    for number in (0, 2, 1, 4, 3):  # as threads ask for them
        cursors.read(path, number)
    assert read == [0, 1, 2, 3, 4]
    cursors.read(path, 3)
    assert read == [0, 1, 2, 3, 4, 3]


def test_few_states_are_kept_of_a_long_file(tmp_path, writer, monkeypatch):
    monkeypatch.setattr(_cursor, "MARKS", 8)
    payloads = small_file(tmp_path / "a.tfr", writer, 100)
    file = RecordFile(tmp_path / "a.tfr")
    for number in range(100):
        assert file.read(number) == payloads[number]
        assert len(file._marks) == len(file._numbers) <= 9
        assert file._numbers[-1] == number + 1
    assert [file.read(number) for number in (3, 97, 50)] == [payloads[number] for number in (3, 97, 50)]


def test_few_files_are_kept(tmp_path, writer):
    cursors = Cursors(files=2)
    for name in "abc":
        small_file(tmp_path / name, writer, 3)
        cursors.read(tmp_path / name, 1)
    assert [path.name for path in cursors._open] == ["b", "c"]
    assert cursors.read(tmp_path / "a", 2) == bytes([2]) * 10


def test_passed_records_are_bounded(tmp_path, writer):
    payloads = small_file(tmp_path / "a", writer, 50, size=1000)
    cursors = Cursors(look_back=3500)
    assert cursors.read(tmp_path / "a", 40) == payloads[40]
    assert [number for _, number in cursors._passed._kept] == [37, 38, 39]
    assert cursors._passed.size == 3000
    assert cursors.read(tmp_path / "a", 38) == payloads[38]
    assert cursors._passed.size == 2000


def test_a_record_larger_than_the_bound_is_not_kept(tmp_path, writer):
    payloads = small_file(tmp_path / "a", writer, 3, size=1000)
    cursors = Cursors(look_back=10)
    assert [cursors.read(tmp_path / "a", number) for number in (2, 0, 1)] == [payloads[number] for number in (2, 0, 1)]
    assert cursors._passed.size == 0


def test_copies_start_afresh(path, payloads):
    cursors = Cursors(files=3, look_back=99)
    cursors.read(path, 3)
    copy = pickle.loads(pickle.dumps(cursors))
    assert (copy.files, copy.look_back, len(copy._open)) == (3, 99, 0)
    assert copy.read(path, 3) == payloads[3]


def test_a_forked_process_does_not_wait_for_locks_of_its_parent(path, payloads):
    cursors = Cursors()
    cursors.read(path, 0)
    with cursors._lock, multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(cursors.read, (path, 3)) == payloads[3]


def test_a_record_beyond_the_end(path, payloads):
    with pytest.raises(DatasetError, match=r"train-0\.tfr has 5 records; record 5, counted from 0, was asked for"):
        Cursors().read(path, 7)


def test_truncated_and_damaged_files(tmp_path, payloads, writer):
    content = b"".join(map(writer.record, payloads))
    whole = writer.COMPRESS["zlib"](content)
    damaged = content.replace(payloads[3][:50], bytes(50), 1)
    cases = {
        whole[: len(whole) // 2]: "compressed stream ends early",
        writer.COMPRESS["zlib"](content[:-3]): r"record 4 has 30,001 of 30,004 bytes: the file is truncated",
        writer.COMPRESS["zlib"](content + b"ab"): "record 5 ends within its 12-byte header",
        writer.COMPRESS["zlib"](damaged): r"record 3 is damaged \(checksum differs\)",
        writer.COMPRESS["zlib"](content + bytes(12)): r"record 5 has a damaged length",
        whole[:50] + bytes(200) + whole[250:]: "damaged",
    }
    for number, (stored, message) in enumerate(cases.items()):
        path = tmp_path / f"train-{number}.tfr"
        path.write_bytes(stored)
        with pytest.raises(DatasetError, match=message):
            [Cursors().read(path, 5)]
