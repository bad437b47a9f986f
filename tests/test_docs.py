"""The documentation says what is so: its examples run, its links lead somewhere, and every public name is in it."""

import importlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

TOP = Path(__file__).parent.parent
DOCS = TOP / "docs"
PAGES = sorted(
    path
    for path in [*TOP.glob("*.md"), *DOCS.rglob("*.md")]
    if not {"_build", "benchmarks", "generated"} & set(path.relative_to(TOP).parts[:-1])
)
#: Public rooms, and the page of the reference that lists each.
ROOMS = {
    "crested_like": "models genome",
    "crested_like.genome": "genome",
    "crested_like.tl": "tl",
    "crested_like.tl.zoo": "zoo",
    "crested_like.checkpoints": "checkpoints",
    "crested_like.datasets": "datasets",
    "crested_like.pl": "pl",
    "crested_like.engine": "engine",
    "crested_like.layers": "layers",
}
#: Rooms with pages of their own, and names that are neither functions nor classes.
NOT_LISTED = {"losses", "metrics", "registry", "zoo", "tl", "pl", "genome", "datasets", "checkpoints", "engine"} | {
    "__version__",
    "FORMATS",
    "WRITERS",
    "Regions",
}


#: Two genes; the second one on the other strand.
GENES = "".join(
    f"chr1\tdemo\texon\t{first}\t{last}\t.\t{strand}\t.\t"
    f'gene_id "{name}"; transcript_id "{name}.1"; gene_name "{name}";\n'
    for name, strand, first, last in [
        ("ABC", "+", 150_001, 150_600),
        ("ABC", "+", 154_001, 154_300),
        ("DEF", "-", 158_001, 163_000),
    ]
)


def variants_of(fasta):
    """A VCF of this genome: a substitution, an insertion, two alleles, and one whose REF is not the genome's."""
    letters = "".join(line for line in fasta.read_text().split(">")[1].splitlines()[1:])

    def other(position, turn=1):
        return "ACGT"[("ACGT".index(letters[position - 1]) + turn) % 4]

    rows = [(p, letters[p - 1], other(p)) for p in (149_950, 149_990)]
    rows += [(150_010, letters[150_009], letters[150_009] + "GGCG")]
    rows += [(150_100, letters[150_099], f"{other(150_100)},{other(150_100, 2)}")]
    rows += [(155_000, other(155_000), letters[154_999])]
    lines = [f"chr1\t{p}\trs{i}\t{ref}\t{alt}\t.\t.\t.\n" for i, (p, ref, alt) in enumerate(rows, start=1)]
    return "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(lines)


def named(path):
    return path.relative_to(TOP).as_posix()


def blocks(path, *languages):
    """Line number and text of the fenced blocks in these languages."""
    text = path.read_text()
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        if match[1] in languages:
            yield text[: match.start(2)].count("\n"), match[2]


def script(path):
    """The ``python`` blocks of a page as one script whose line numbers are the page's."""
    lines = [""] * len(path.read_text().splitlines())
    for start, block in blocks(path, "python"):
        for offset, line in enumerate(block.splitlines()):
            lines[start + offset] = line
    return "\n".join(lines)


WITH_EXAMPLES = [path for path in PAGES if script(path).strip()]


@pytest.fixture
def workplace(tmp_path, rng, golden_dir):
    """A folder with the files that the examples name."""
    with (tmp_path / "hg38.fa").open("w") as file:
        for chrom, length in {"chr1": 400_000, "chr2": 150_000}.items():
            letters = rng.choice(np.frombuffer(b"ACGT", dtype="S1"), length).tobytes().decode()
            file.write(f">{chrom}\n" + "\n".join(letters[i : i + 60] for i in range(0, length, 60)) + "\n")
    (tmp_path / "regions.bed").write_text("chr1\t150000\t160000\tfirst\nchr1\t200000\t200500\tsecond\n")
    (tmp_path / "genes.gtf").write_text(GENES)
    (tmp_path / "variants.vcf").write_text(variants_of(tmp_path / "hg38.fa"))
    borzoi = golden_dir / "baskerville_borzoi_tiny"
    shutil.copy(borzoi / "model0_published_layout.h5", tmp_path / "model0_best.h5")
    shutil.copy(borzoi / "params.json", tmp_path / "params.json")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=named)
def test_examples_run(page, workplace):
    done = subprocess.run([sys.executable, "-c", script(page)], cwd=workplace, capture_output=True, text=True)
    assert done.returncode == 0, f"{named(page)} (its own line numbers):\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_is_valid(page):
    for line, block in blocks(page, "python", "py"):
        compile("\n" * line + block, named(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize(("room", "pages"), ROOMS.items())
def test_every_public_name_is_in_the_reference(room, pages):
    reference = "\n".join((DOCS / "api" / f"{page}.md").read_text() for page in pages.split())
    listed = set(re.findall(r"^\.\. auto(?:function|class|data):: (\w+)", reference, flags=re.MULTILINE))
    public = set(importlib.import_module(room).__all__) - NOT_LISTED
    assert public - listed == set()


def test_quick_start_of_the_readme():
    section = re.search(r"^## Quick start\n(.*?)^## ", (TOP / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^```sh\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    assert len(commands) == 2
    assert [command.count("\n") for command in commands] == [1, 1]
    extras = re.search(r"\.\[(.*?)\]", commands[0])[1].split(",")
    assert set(extras) <= set(tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["optional-dependencies"])


def test_parity_table_shows_the_worst_error(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    from parity_figures import parity_lines

    assert "nox -s parity" in parity_lines(tmp_path)[0]
    (tmp_path / "jax.json").write_text(
        '[{"name": "a", "quantity": "trunk", "error": 1e-6}, {"name": "a", "quantity": "human", "error": 3e-6},'
        ' {"name": "b", "quantity": "human", "error": 0.0}]'
    )
    (tmp_path / "torch.json").write_text('[{"name": "a", "quantity": "trunk", "error": 5e-7}]')
    assert parity_lines(tmp_path) == [
        "| Set | jax | torch | worst at |",
        "|---|---:|---:|---|",
        "| `a` | 3.0e-06 | 5.0e-07 | human |",
        "| `b` | 0.0e+00 |  | human |",
    ]


def test_agreement_table_shows_the_worst_pair(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    from parity_figures import agreement_lines

    file = tmp_path / "agreement.json"
    assert "nox -s benchmarks" in agreement_lines(file)[0]
    pairs = [{"worst": 2e-6, "median": 1e-7}, {"worst": 1e-6, "median": 3e-7}]
    variant = {"jax": {"worst": 3e-6}, "torch": {"worst": 4e-6}}
    borzoi = {"parameters": 1234, "moved by": {"skips": {"median": 0.5}}, "pairs": pairs, "variant": variant}
    file.write_text(json.dumps({"versions": {"keras": "3"}, "models": {"borzoi": borzoi}}))
    assert agreement_lines(file)[2:] == [
        "| borzoi | 1,234 | 2.0e-06 | 3.0e-07 | 4.0e-06 | skips 5.0e-01 |",
        "",
        "Measured with keras 3.",
    ]
