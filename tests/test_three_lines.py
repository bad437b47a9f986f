"""The README's three lines on a full-size model, from a server to numbers, in a fresh process."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import keras
import numpy as np
import pytest

from crested_like.tl import zoo

TRACKS = 5431
ENTRY = """
[models.served_prime]
architecture = "borzoi_prime"
format = "keras-tar"
sources = ["{address}/served_prime.tar.gz"]
sha256 = "{sha256}"
license = "Apache-2.0"
input_length = 524_288
bin_size = 16
output_bins = 12_288
num_tracks = 5_431
"""
THREE_LINES = """
import crested_like as crested
import keras

model_path, output_names = crested.get_model("served_prime")
model = keras.models.load_model(model_path)
predictions = crested.tl.predict("A" * 524288, model)
assert predictions.shape == (1, 12288, 5431), predictions.shape
assert len(output_names) == 5431 and output_names[:2] == ["track_0", "track_1"], output_names[:2]
assert (predictions > 0).all() and 0 < predictions.std() < 10, predictions.std()
print("done")
"""


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    """A Borzoi Prime in the layout of the published archives, with weights that compress and are not all zero."""
    model = zoo.borzoi_prime()
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if not weight.path.endswith(("gamma", "beta", "moving_mean", "moving_variance", "bias")):
            # what comes out is a multiple of the mean of what goes in, so that nothing grows from layer to layer
            row = rng.normal(size=weight.shape[-1]).astype("float32") / np.prod(weight.shape[:-1])
            weight.assign(np.broadcast_to(row, weight.shape))
    folder = tmp_path / "served_prime"
    folder.mkdir()
    model.save(folder / "served_prime.keras")
    names = folder / "served_prime_output_classes.tsv"
    names.write_text("".join(f"track_{i}\n" for i in range(TRACKS)))
    path = tmp_path / "www" / "served_prime.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(folder, arcname="served_prime")
    return path


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_three_lines(tarball, tmp_path):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tarball.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        entries = tmp_path / "mine.toml"
        entries.write_text(
            ENTRY.format(
                address=f"http://127.0.0.1:{server.server_port}",
                sha256=hashlib.sha256(tarball.read_bytes()).hexdigest(),
            )
        )
        env = {
            **os.environ,
            "KERAS_BACKEND": keras.backend.backend(),
            "CRESTED_LIKE_REGISTRY": str(entries),
            "CRESTED_LIKE_DATA_DIR": str(tmp_path / "cache"),
            "PYTHONWARNINGS": "ignore",
        }
        result = subprocess.run([sys.executable, "-c", THREE_LINES], capture_output=True, text=True, env=env)
        server.shutdown()
    assert "done" in result.stdout, result.stderr[-3000:]
