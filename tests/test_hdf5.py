from __future__ import annotations

import h5py
import numpy as np
import pytest

from crested_like import _hdf5


@pytest.mark.parametrize("chunks", [(1, 4, 2), (1, 3, 2), (1, 5, 5), (1, 1, 1)])
def test_chunks_read_as_they_were_written(tmp_path, rng, chunks):
    values = rng.normal(size=(3, 7, 5)).astype(np.float16)
    new = _hdf5.NewFile(tmp_path / "x.h5")
    dataset = new.root.create_dataset("x", values.shape, np.float32, chunks=chunks, compression="gzip")
    for row in (2, 0, 1):
        _hdf5.write(dataset, (row,), values[row : row + 1])
    new.close()
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["x"][:], values)


@pytest.mark.parametrize("room", [1, 500, 3000, 20_000])
def test_a_file_that_cannot_grow_reads_on_as_if_it_had(tmp_path, rng, small_files, room):
    """HDF5 reads again what it has written; were that lost, it would crash."""
    texts, numbers = [f"text {i}" * 50 for i in range(40)], rng.normal(size=5000)
    new = _hdf5.NewFile(tmp_path / "x.h5")
    new.root["before"] = numbers
    new.root.flush()
    new.check()
    small_files((tmp_path / "x.h5").stat().st_size + room)
    new.root["texts"], new.root["after"] = texts, numbers
    new.root.flush()
    assert list(new.root["texts"].asstr()[:]) == texts
    np.testing.assert_array_equal(new.root["after"][:], numbers)
    with pytest.raises(OSError, match="File too large"):
        new.check()
    with pytest.raises(OSError, match="File too large"):
        new.close()
