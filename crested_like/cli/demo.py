"""``crested-like demo``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from crested_like.cli import _console as console
from crested_like.cli._backend_option import BackendOption, use_backend
from crested_like.cli._input import Source
from crested_like.cli._options import EMBEDDED
from crested_like.cli._report import Request, load_models, run

#: Shown below the help.
EXAMPLES = "crested-like demo --out tour"


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("crested_like_demo"),
    model: Annotated[str, typer.Option("--model", "-m", help="Name of a model or .keras file.")] = EMBEDDED,
    backend: BackendOption = None,
) -> None:
    """Run the main job once, on a made-up sequence: predict, write, draw, and say how to go on."""
    from crested_like._atomic import atomic_path

    use_backend(backend)
    from crested_like.cli._demo_dna import demo_sequence
    from crested_like.tl._geometry import geometry

    loaded = load_models([model])
    sequence = demo_sequence(geometry(loaded[0]).input_length)
    out.mkdir(parents=True, exist_ok=True)
    fasta, result, figure = out / "demo.fa", out / "predictions.zarr", out / "tracks.png"
    lines = [sequence[i : i + 80] for i in range(0, len(sequence), 80)]
    with atomic_path(fasta) as unfinished:
        unfinished.write_text("\n".join([">demo", *lines, ""]))
    can_draw = find_spec("matplotlib") is not None
    source = Source([("demo", sequence)], None, f"a made-up sequence, {fasta}")
    run(
        Request(
            models=[model],
            source=source,
            out=result,
            plot=figure if can_draw else None,
            top=5,
            options={"overwrite": True},
        ),
        loaded,
    )
    if not can_draw:
        console.note("For a figure as well: pip install 'crested_like[plot]'")
    console.stdout().print(_next_steps(model, fasta), markup=False, soft_wrap=True)


def _next_steps(model: str, fasta: Path) -> str:
    return f"""
The same in Python:

  import crested_like as crested
  model = crested.load_model("{model}")
  predictions = crested.tl.predict_regions("{fasta}", model)

And with your own data:

  crested-like predict sequences.fa --plot tracks.png
  crested-like predict --region chr1:1,000,001-1,100,000 --genome hg38.fa"""
