"""What each stage of a network costs: multiply-adds, seconds, rate, and share of what the machine can do.

The network is taken as ``tl.predict`` computes it, or with ``--plain`` as it is built, and cut into stages, which run
by themselves on random values, one window a batch. Every stage is timed ``--runs`` times between two measurements of
the rate of a large matrix product in NumPy; the median counts.

    python benchmarks/stages.py                                 # Borzoi on the current backend
    python benchmarks/stages.py --model enformer --plain

Prints a table, and writes it with ``--out``.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import time
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import measuring
import numpy as np
from multiply_adds import multiply_adds

#: Name of a stage by how its layers' names begin.
STAGES = {
    r"stem|tower|conv_|dilated|residual": "convolutions",
    r"transformer_\d+_attention": "attention",
    r"transformer": "feed-forward",
    r"upsample|skip": "upsampling and skips",
    r"": "head",
}


def stage_of(name: str) -> str:
    """The stage that a layer belongs to."""
    return next(stage for pattern, stage in STAGES.items() if re.match(pattern, name))


def cut(model: Any) -> list[tuple[str, Any]]:
    """Consecutive layers of one stage, each as a model of its own."""
    import keras

    from crested_like import _graph
    from crested_like.tl.rewriting._rebuild import replayed

    order = list(_graph.steps(model.inputs, model.outputs))
    names: list[str] = []
    for step in order:  # unnamed layers, such as crops, go with what they follow
        named = not re.fullmatch(r"cropping1d(_\d+)?", step.layer.name)
        names.append(stage_of(step.layer.name) if named or not names else names[-1])
    found = []
    for stage, group in groupby(zip(names, order, strict=True), key=lambda pair: pair[0]):
        steps = [step for _, step in group]
        made = {id(tensor): tensor for step in steps for tensor in step.outputs}
        sources = {id(tensor): tensor for step in steps for tensor in step.inputs if id(tensor) not in made}
        elsewhere = {id(tensor) for step in order if step not in steps for tensor in step.inputs}
        elsewhere |= {id(tensor) for tensor in model.outputs}
        inputs = {key: keras.Input(tensor.shape[1:], dtype=tensor.dtype) for key, tensor in sources.items()}
        ends = [tensor for key, tensor in made.items() if key in elsewhere]
        outputs = replayed(sources.values(), ends, dict(inputs))
        # a number of each output, so that copying them to NumPy is no part of it
        sums = [keras.ops.max(output, axis=(1, 2)) for output in outputs]
        found.append((stage, keras.Model(list(inputs.values()), sums)))
    return found


def seconds_of(model: Any, runs: int) -> float:
    """Median time of a stage, after a first run that compiles."""
    from crested_like.tl._forward import forward_all

    rng = np.random.default_rng(0)
    given = [rng.normal(size=(1, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
    taken = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        forward_all(model, given if len(given) > 1 else given[0])
        taken.append(time.perf_counter() - start)
    return median(taken[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="borzoi", help="a function of crested_like.tl.zoo; default: borzoi")
    parser.add_argument("--plain", action="store_true", help="the network as it is built")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, help="Markdown file")
    given = parser.parse_args()
    import keras

    import crested_like
    from crested_like.tl.rewriting._accelerate import fast_form

    model = getattr(crested_like.tl.zoo, given.model)()
    if len(model.outputs) > 1:
        model = keras.Model(model.inputs, model.outputs[0])
    made = model if given.plain else fast_form(model)
    threads = len(os.sched_getaffinity(0))
    totals: dict[str, list[float]] = {}
    for stage, part in cut(made):
        before = measuring.peak_gflops(threads)
        taken = seconds_of(part, given.runs)
        peak = (before + measuring.peak_gflops(threads)) / 2
        products = multiply_adds(part)
        entry = totals.setdefault(stage, [0.0, 0.0, 0.0])
        for number, value in enumerate((products, taken, taken * peak)):
            entry[number] += value
        print(f"{stage}: {products:.2e} multiply-adds, {taken:.2f} s of a machine of {peak:.0f} GFLOP/s", flush=True)
    totals["all"] = [sum(entry[number] for entry in totals.values()) for number in range(3)]
    backend = keras.backend.backend()
    lines = [
        f"# Stages of the network {given.model} on {backend}",
        "",
        f"One window, as it is {'built' if given.plain else 'predicted'}, cut into stages that run by themselves: "
        f"multiply-adds, median seconds of {given.runs} runs, and the rate as a share of that of a matrix product of "
        f"{measuring.SIDE:,} by {measuring.SIDE:,} in NumPy before and after.",
        "",
        "| stage | multiply-adds | seconds | GFLOP/s | share of a matrix product's rate |",
        "|---|---:|---:|---:|---:|",
    ]
    for stage, (products, taken, possible) in totals.items():
        rate = 2 * products / taken / 1e9
        lines.append(
            f"| {stage} | {products:.2e} | {taken:.2f} | {rate:.0f} | {100 * 2 * products / possible / 1e9:.0f} % |"
        )
    report = {"machine": measuring.machine(threads), "date": datetime.date.today().isoformat()}
    versions = {"versions": measuring.installed("keras", *measuring.PACKAGES[backend])}
    command = f"KERAS_BACKEND={backend} python benchmarks/stages.py --model {given.model}"
    text = "\n".join([*lines, "", *measuring.ending(report, [versions], command)])
    print(text)
    if given.out:
        given.out.write_text(text)


if __name__ == "__main__":
    main()
