"""What is written of the rounds can be read by what it is for."""

import numpy as np
import pandas as pd
import pytest

from crested_like._tensorflow_bytes import message
from crested_like.datasets import read_records
from crested_like.tl.training._log import Events, write_history


def test_history_is_a_table(tmp_path):
    rows = [{"round": 1, "loss": 0.1 + 0.2}, {"round": 2, "loss": 1e-9}]
    write_history(tmp_path / "history.csv", rows)
    table = pd.read_csv(tmp_path / "history.csv", float_precision="round_trip")
    assert table.to_dict("records") == rows


def test_events_are_records_with_scalars(tmp_path):
    events = Events(tmp_path / "logs")
    events.add(3, {"loss": 0.5, "valid_pearson_r": -1.25})
    events.add(300, {"loss": float("nan")})
    first, second, third = (message(memoryview(payload)) for payload in read_records(events.path))
    assert bytes(first[3][0]) == b"brain.Event:2"
    assert (second[2], third[2]) == ([3], [300])
    values = [message(value) for value in message(second[5][0])[1]]
    found = {bytes(v[1][0]).decode(): np.uint32(v[2][0]).view(np.float32) for v in values}
    assert found == {"loss": np.float32(0.5), "valid_pearson_r": np.float32(-1.25)}


def test_tensorflow_reads_the_events(tmp_path):
    event_pb2 = pytest.importorskip("tensorflow.core.util.event_pb2")
    events = Events(tmp_path)
    events.add(7, {"loss": 0.25})
    _, event = (event_pb2.Event.FromString(payload) for payload in read_records(events.path))
    assert event.step == 7
    assert [(value.tag, value.simple_value) for value in event.summary.value] == [("loss", 0.25)]
