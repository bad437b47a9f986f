from __future__ import annotations

import gzip
import logging
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from crested_like import _errors
from crested_like.genome import Genome, _fasta, register_genome, registered_genome, resolve_genome

pysam = pytest.importorskip("pysam")

CHROMS = {"chr1": 1003, "chr2": 50, "chrM": 17, "HLA-A*01:01": 30}


@pytest.fixture
def letters(rng):
    return {chrom: "".join(rng.choice(list("ACGTNacgtnR"), size)) for chrom, size in CHROMS.items()}


@pytest.fixture
def plain(tmp_path, letters):
    path = tmp_path / "genome" / "mini.fa"
    path.parent.mkdir()
    lines = []
    for chrom, text in letters.items():
        lines += [f">{chrom} some words", *(text[i : i + 20] for i in range(0, len(text), 20))]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def bgzipped(plain):
    path = plain.with_name("mini.fa.gz")
    pysam.tabix_compress(str(plain), str(path))
    plain.unlink()
    return path


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch):
    monkeypatch.setenv("CRESTED_LIKE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(_fasta, "_REGISTERED", {})


def slow_fetch(letters, chrom, start, end):
    text = letters[chrom]
    return "".join(text[i] if 0 <= i < len(text) else "N" for i in range(start, end))


@pytest.mark.parametrize("kind", ["plain", "bgzipped"])
def test_fetch(request, letters, kind, rng):
    path = request.getfixturevalue(kind)
    genome = Genome(path)
    assert genome.name == "mini"
    assert genome.chromosomes == CHROMS
    assert list(genome.chromosomes) == list(CHROMS)
    for chrom, size in CHROMS.items():
        spans = [
            (0, size),
            (-5, 3),
            (size - 3, size + 5),
            (-7, size + 7),
            (-9, -2),
            (size, size + 4),
            (size + 3, size + 5),
        ]
        spans += [(4, 4), (-3, -3), (-3, 0), (size + 1, size + 1)]
        spans += [tuple(sorted(rng.integers(-20, size + 20, 2))) for _ in range(20)]
        for start, end in spans:
            assert genome.fetch(chrom, start, end) == slow_fetch(letters, chrom, start, end), (chrom, start, end)


@pytest.mark.parametrize("kind", ["plain", "bgzipped"])
def test_index_is_made_beside_the_file(request, kind):
    path = request.getfixturevalue(kind)
    assert Genome(path).chromosomes == CHROMS
    wanted = {path.name, f"{path.name}.fai"} | ({f"{path.name}.gzi"} if kind == "bgzipped" else set())
    assert {file.name for file in path.parent.iterdir()} == wanted


@pytest.mark.parametrize("kind", ["plain", "bgzipped"])
def test_index_goes_elsewhere_if_the_folder_is_read_only(request, kind, tmp_path, monkeypatch, letters):
    path = request.getfixturevalue(kind)
    monkeypatch.setattr(_fasta, "_writable", lambda folder: folder != path.parent)
    assert Genome(path).fetch("chr1", 5, 50) == letters["chr1"][5:50]
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    made = sorted(file.name for file in (tmp_path / "data" / "fasta-index").rglob("mini*"))
    assert made == [f"{path.name}.fai", f"{path.name}.gzi"][: len(made)]
    monkeypatch.setattr(_fasta, "_build", None)  # it is found again, not built again
    assert Genome(path).fetch("chr1", 5, 50) == letters["chr1"][5:50]


def test_index_can_go_nowhere(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(_fasta, "_writable", lambda folder: False)
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(PermissionError, match=r"mini\.fa has no index.*Run 'samtools faidx'.*CRESTED_LIKE_DATA_DIR"):
        Genome(plain).fetch("chr1", 0, 5)


def test_read_only_folder_for_real(plain):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    plain.parent.chmod(0o555)
    try:
        assert Genome(plain).chromosomes == CHROMS
    finally:
        plain.parent.chmod(0o755)


def test_gzi_alone_is_missing(bgzipped):
    assert Genome(bgzipped).chromosomes == CHROMS
    bgzipped.with_name("mini.fa.gz.gzi").unlink()
    assert Genome(bgzipped).chromosomes == CHROMS


def test_old_index_is_mentioned(plain, caplog):
    Genome(plain).fetch("chr1", 0, 5)
    os.utime(plain.with_name("mini.fa.fai"), (1, 1))
    with caplog.at_level(logging.WARNING):
        Genome(plain).fetch("chr1", 0, 5)
    assert "mini.fa.fai is older than" in caplog.text


def test_wrong_index_is_an_error(plain):
    Genome(plain).fetch("chr1", 0, 5)
    plain.write_text(">chr1\nACGT\n")
    with pytest.raises(
        _errors.SequenceError, match=r"does not have the 900 bases chr1:101-1000 where.*delete mini\.fa\.fai"
    ):
        Genome(plain).fetch("chr1", 100, 1000)


@pytest.mark.parametrize(
    ("chrom", "hint"),
    [
        ("1", "Did you mean 'chr1'?"),
        ("MT", "Did you mean 'chrM'?"),
        ("chrMT", "Did you mean 'chrM'?"),
        ("CHR2", "Did you mean 'chr2'?"),
        ("chr_1", "'chr1'"),
        ("zzz", "It has 4: chr1, chr2, chrM, HLA-A*01:01."),
        (1, "Did you mean 'chr1'?"),
    ],
)
def test_unknown_chromosome(plain, chrom, hint):
    with pytest.raises(_errors.RegionError, match=f"Chromosome '{chrom}' is not in genome 'mini'") as caught:
        Genome(plain).fetch(chrom, 0, 5)
    assert hint in str(caught.value)


@pytest.mark.parametrize(("chrom", "hint"), [("chr1", "1"), ("chrM", "MT"), ("M", "MT"), ("chrX", "X")])
def test_unknown_chromosome_of_ensembl(tmp_path, chrom, hint):
    (tmp_path / "a.fa").write_text(">1\nA\n>X\nA\n>MT\nA\n")
    with pytest.raises(_errors.RegionError, match=f"Did you mean '{hint}'"):
        Genome(tmp_path / "a.fa").fetch(chrom, 0, 5)


def test_end_before_start(plain):
    with pytest.raises(ValueError, match="must not end before it starts; got chr1, start 1,000, end 5"):
        Genome(plain).fetch("chr1", 1000, 5)
    with pytest.raises(TypeError):
        Genome(plain).fetch("chr1", 0.5, 5)


def test_plain_gzip(tmp_path):
    (tmp_path / "a.fa.gz").write_bytes(gzip.compress(b">chr1\nACGT\n"))
    with pytest.raises(ValueError, match=r"plain gzip.*gunzip -c a\.fa\.gz \| bgzip > "):
        Genome(tmp_path / "a.fa.gz")


def test_files_that_are_no_fasta(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"FASTA file .*none\.fa does not exist"):
        Genome(tmp_path / "none.fa")
    (tmp_path / "a.2bit").write_bytes(b"\x43\x27\x41\x1a\x00")
    with pytest.raises(ValueError, match=r"a\.2bit is no FASTA file: it must start with '>'"):
        Genome(tmp_path / "a.2bit")


def test_uneven_lines(tmp_path):
    (tmp_path / "a.fa").write_text(">chr1\nACGT\nAC\nACGT\nACGT\n")
    with pytest.raises(ValueError, match=r"a\.fa cannot be indexed.*all lines but the last must have one length"):
        Genome(tmp_path / "a.fa").fetch("chr1", 0, 5)
    assert [file.name for file in tmp_path.iterdir()] == ["a.fa"]


def test_without_pysam(plain, monkeypatch):
    genome = Genome(plain)
    monkeypatch.setitem(sys.modules, "pysam", None)
    with pytest.raises(
        _errors.BackendError, match=r"pysam is needed to read .* pip install 'crested_like\[genomics\]'"
    ):
        genome.fetch("chr1", 0, 5)


def test_name_and_repr(plain):
    assert Genome(plain, name="hg0").name == "hg0"
    assert repr(Genome(plain)) == f"Genome({str(plain)!r}, name='mini')"


def test_pickle(plain, letters, monkeypatch, tmp_path):
    monkeypatch.chdir(plain.parent)
    genome = Genome("mini.fa", name="a")
    genome.fetch("chr1", 0, 5)
    copy = pickle.loads(pickle.dumps(genome))
    monkeypatch.chdir(tmp_path)
    assert copy.name == "a"
    assert copy.fetch("chr2", 0, 50) == letters["chr2"]


def test_threads(bgzipped, letters, rng):
    genome = Genome(bgzipped)
    starts = rng.integers(-50, 1000, 2000)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda start: genome.fetch("chr1", start, start + 97), starts))
    assert got == [slow_fetch(letters, "chr1", start, start + 97) for start in starts]


FORKING = """
import multiprocessing, sys
from crested_like.genome import Genome

genome = Genome(sys.argv[1])
starts = range(0, 900, 3)
want = [genome.fetch("chr1", start, start + 97) for start in starts]

def fetch_many(queue):
    queue.put([genome.fetch("chr1", start, start + 97) for start in starts])

context = multiprocessing.get_context("fork")
queue = context.Queue()
children = [context.Process(target=fetch_many, args=(queue,)) for _ in range(3)]
for child in children:
    child.start()
for _ in range(20):
    assert [genome.fetch("chr1", start, start + 97) for start in starts] == want
assert [queue.get(timeout=60) for _ in children] == [want] * 3
for child in children:
    child.join()
print("".join(want[0]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork(plain, letters):
    # in a process of its own: a backend that other tests have loaded may not survive a fork
    done = subprocess.run([sys.executable, "-c", FORKING, str(plain)], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == letters["chr1"][:97], done.stderr


def test_registering(plain, bgzipped_copy):
    with pytest.raises(ValueError, match=r"none was given or registered\. Pass genome=.*register_genome"):
        registered_genome()
    one, two = Genome(plain, name="one"), Genome(bgzipped_copy, name="two")
    register_genome(one)
    register_genome(two)
    assert registered_genome() is two
    assert resolve_genome(None) is two
    assert resolve_genome("one") is one
    assert resolve_genome(one) is one
    register_genome(one)
    assert registered_genome() is one
    register_genome(str(plain))
    assert registered_genome().name == "mini"
    assert resolve_genome(plain).path == plain
    assert resolve_genome(str(plain)).path == plain


@pytest.fixture
def bgzipped_copy(plain):
    path = plain.with_name("copy.fa.gz")
    pysam.tabix_compress(str(plain), str(path))
    return path


def test_resolve_refuses(plain):
    register_genome(Genome(plain, name="hg0"))
    with pytest.raises(
        ValueError, match=r"'hg1' is neither a FASTA file nor a registered genome \(registered: 'hg0'\)"
    ):
        resolve_genome("hg1")
    with pytest.raises(TypeError, match="genome must be a Genome, a name, a path or None; got int"):
        resolve_genome(5)


def test_real_data(data_dir):
    genome = Genome(data_dir / "hg38_chr1_1mb" / "hg38_1m.fa.gz")
    assert genome.name == "hg38_1m"
    assert genome.chromosomes == {"chr1": 1_000_000}
    assert genome.fetch("chr1", 9_998, 10_010) == "NNTAACCCTAAC"
    text = genome.fetch("chr1", -10, 1_000_010)
    assert len(text) == 1_000_020
    assert text.count("N") == 160_020
    cuts = np.arange(0, 1_000_001, 40_000)
    assert "".join(genome.fetch("chr1", a, b) for a, b in pairwise(cuts)) == text[10:-10]


def test_room_needs_only_numpy():
    code = (
        "import sys, crested_like.genome; "
        "print([m for m in ('keras', 'pandas', 'pysam', 'pybigtools', 'scipy', 'torch') if m in sys.modules])"
    )
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert got.stdout.strip() == "[]"
