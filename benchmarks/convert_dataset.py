"""Seconds and memory of converting training data, beside a TensorFlow reader that only reads and decodes it.

The train split of ``tiny/hg38`` (45 windows of 131,072 bp, 2,048 bins, 74 tracks, four in a file) and the same written
several times over, so that it can be seen whether memory grows with the number of examples. Every measurement is a
fresh process on the same processors, with its files in the cache of the system; nothing is known of the files before,
so records are counted too. Sequences of longer windows are taken from a FASTA file that is made of the stored ones.

    python benchmarks/convert_dataset.py                    # 1 and 8 times the data, all conversions
    python benchmarks/convert_dataset.py --times 1 --only zarr

Writes ``docs/benchmarks/convert_dataset.md`` and ``.json`` beside it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import measuring

DOCS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"
DATA = Path(os.environ.get("CRESTED_LIKE_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
CHROM, FIRST, EVERY = "chrW", 200_000, 400_000
PER_FILE = 16

#: What is measured: its name in the table, and the arguments of a conversion (none: the data are only read).
CASES: dict[str, tuple[str, dict]] = {
    "tensorflow": ("TensorFlow reads and decodes", {}),
    "read": ("crested_like reads and decodes", {}),
    "tfrecord": ("to TFRecords, 393,216 bp", {"format": "tfrecord", "sequence_length": 393_216, "per_file": PER_FILE}),
    "zarr": ("to Zarr", {"format": "zarr"}),
    "hdf5": ("to HDF5", {"format": "hdf5"}),
    "text-hdf5": ("to text, 4,096 bp", {"format": "text-hdf5", "sequence_length": 4_096}),
}
ENDINGS = {"zarr": ".zarr", "hdf5": ".h5", "text-hdf5": ".h5"}


# --- in the process that is measured -----------------------------------------------------------------------------


def tensorflow(folder: Path) -> int:
    """Read and decode all examples with tf.data; how many there were."""
    import tensorflow as tf

    facts = json.loads((folder / "statistics.json").read_text())
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in ("sequence", "target")}

    def decode(record):
        found = tf.io.parse_single_example(record, features)
        codes = tf.ensure_shape(tf.io.decode_raw(found["sequence"], tf.uint8), [facts["seq_length"]])
        shape = (facts["target_length"], facts["num_targets"])
        return codes, tf.reshape(tf.io.decode_raw(found["target"], tf.float16), shape)

    files = sorted(map(str, (folder / "tfrecords").glob("train-*.tfr")))
    records = tf.data.TFRecordDataset(files, compression_type="ZLIB", num_parallel_reads=tf.data.AUTOTUNE)
    return sum(1 for _ in records.map(decode, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE))


def read(folder: Path) -> int:
    from crested_like.datasets import BasenjiDataset

    return sum(1 for _ in BasenjiDataset(folder).iter("train"))


def convert(folder: Path, out: Path, case: str) -> int:
    from crested_like.datasets import convert

    fasta = {"genome": folder / f"{CHROM}.fa"} if "sequence_length" in CASES[case][1] else {}
    made = convert(folder, out, **CASES[case][1], **fasta, workers=len(os.sched_getaffinity(0)), progress=False)
    return sum(made.written.values())


def measure(case: str, folder: Path, out: Path, report: Path) -> None:
    """Do one of the cases in this process and report."""
    imported = {"tensorflow": "tensorflow"}.get(case, "crested_like.datasets")
    __import__(imported)
    before, start, used = peak(), time.perf_counter(), time.process_time()
    count = {"tensorflow": tensorflow, "read": read}.get(case, lambda folder: convert(folder, out, case))(folder)
    found = {
        "examples": count,
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - used,
        "peak": peak(),
        "risen": peak() - before,
        "size": size(out) if out.exists() else None,
        "versions": measuring.installed("numpy", "zarr", "h5py", *measuring.PACKAGES["tensorflow"]),
    }
    report.write_text(json.dumps(found))


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


# --- in the process that starts the others ----------------------------------------------------------------------


def make(times: int, source: Path, folder: Path) -> None:
    """Write the train split several times over, on a chromosome that is made of its windows."""
    import numpy as np

    from crested_like.datasets import BasenjiDataset

    data = BasenjiDataset(source)
    files, count = data.files("train"), data.count("train")
    (folder / "tfrecords").mkdir(parents=True)
    for copy in range(times):
        for number, path in enumerate(files):
            shutil.copyfile(path, folder / "tfrecords" / f"train-{copy * len(files) + number}.tfr")
    facts = json.loads((source / "statistics.json").read_text())
    facts = {name: value for name, value in facts.items() if not name.endswith("_seqs")}
    (folder / "statistics.json").write_text(json.dumps({**facts, "train_seqs": times * count}))
    shutil.copyfile(source / "targets.txt", folder / "targets.txt")
    letters = np.random.default_rng(0).choice(np.frombuffer(b"ACGT", "S1"), 2 * FIRST + EVERY * count)
    length, crop, lines = facts["seq_length"], facts["crop_bp"], ""
    for example in data.iter("train"):
        start = FIRST + EVERY * example.index
        letters[start : start + length] = np.frombuffer(b"ACGTN", "S1")[example.sequence]
        lines += f"{CHROM}\t{start + crop}\t{start + length - crop}\ttrain\n"
    (folder / "sequences.bed").write_text(lines * times)
    (folder / f"{CHROM}.fa").write_bytes(f">{CHROM}\n".encode() + letters.tobytes() + b"\n")


def run(case: str, times: int, folder: Path, threads: int) -> dict:
    with tempfile.TemporaryDirectory() as scratch:
        report, out = Path(scratch) / "report.json", Path(scratch) / f"made{ENDINGS.get(case, '')}"
        os.environ["CRESTED_LIKE_DATA_DIR"] = scratch  # where counts of records are kept
        words = [sys.executable, __file__, "--step", case, "--files", *map(str, (folder, out, report))]
        return {"case": case, "times": times, **measuring.run(words, "tensorflow", threads, report)}


def table(report: dict) -> str:
    lines = [
        "# Converting a dataset",
        "",
        "The train split of `tiny/hg38`, once and several times over: 131,072 bp, 2,048 bins and 74 tracks an example, "
        "four examples a file. Peak is the memory of the whole process, rise what it took above its imports.",
        "",
        "| | examples | seconds | examples a second | processor seconds | peak | rise | written |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in report["rows"]:
        name = CASES[row["case"]][0]
        if "error" in row:
            lines.append(f"| {name} | {row['error']} | | | | | | |")
            continue
        written = "" if row["size"] is None else f"{row['size'] / 1e6:.0f} MB"
        lines.append(
            f"| {name} | {row['examples']} | {row['seconds']:.1f} | {row['examples'] / row['seconds']:.0f} "
            f"| {row['processor_seconds']:.1f} | {row['peak'] / 1e6:.0f} MB | {row['risen'] / 1e6:.0f} MB | {written} |"
        )
    lines += [
        "",
        f"{measuring.machine_line(report['machine'])} Measured on {report['date']} with "
        f"`python benchmarks/convert_dataset.py`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--times", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--data", type=Path, default=DATA, help="folder that holds tiny/hg38")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all processors")
    parser.add_argument("--out", type=Path, default=DOCS / "convert_dataset.json")
    parser.add_argument("--step", choices=list(CASES), help=argparse.SUPPRESS)
    parser.add_argument("--files", nargs="+", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        measure(given.step, *given.files)
        return
    rows = []
    for times in given.times:
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "data"
            make(times, given.data / "tiny" / "hg38", made)
            for case in given.only:
                rows.append(run(case, times, made, given.threads))
                print(f"{case}, {times} times: {rows[-1]}", flush=True)
    rows.sort(key=lambda row: (list(CASES).index(row["case"]), row["times"]))
    facts = {"machine": measuring.machine(given.threads), "date": datetime.date.today().isoformat(), "rows": rows}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(facts, indent=1) + "\n")
    given.out.with_suffix(".md").write_text(table(facts))


if __name__ == "__main__":
    main()
