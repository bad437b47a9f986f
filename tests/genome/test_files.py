from __future__ import annotations

import gzip

import pytest

from crested_like.genome import read_fasta

FASTA = b"\n>one first sequence\nACGT\nac gt\n\nNN\n>two\tx\nG\n>one\nT"
WANT = [("one", "ACGTacgtNN"), ("two", "G"), ("one", "T")]


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_read_fasta(tmp_path, compress, ending):
    (tmp_path / "a.fa").write_bytes(compress(FASTA.replace(b"\n", ending)))
    assert list(read_fasta(tmp_path / "a.fa")) == WANT


def test_read_fasta_streams(tmp_path):
    (tmp_path / "a.fa").write_bytes(b">one\nAC\n>two\nGT\n>\n")
    records = read_fasta(str(tmp_path / "a.fa"))
    assert next(records) == ("one", "AC")
    records.close()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", r"a\.fa holds no sequence: no line starts with '>'"),
        ("\nACGT\n", r"a\.fa is no FASTA file: line 2 is 'ACGT'; '>' and a name must come first"),
        (">one\nACGT\n> \nA\n", "line 3: a '>' without a name"),
        (">one\n>two\nA\n", "line 1: the sequence 'one' has no letters"),
        (">one\nA\n>two\n", "line 3: the sequence 'two' has no letters"),
    ],
)
def test_read_fasta_refuses(tmp_path, text, match):
    (tmp_path / "a.fa").write_text(text)
    with pytest.raises(ValueError, match=match):
        list(read_fasta(tmp_path / "a.fa"))


def test_missing_file_is_reported_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"FASTA file .* does not exist"):
        read_fasta(tmp_path / "none.fa")


def test_read_fasta_of_real_data(data_dir):
    ((name, letters),) = read_fasta(data_dir / "hg38_chr1_1mb" / "hg38_1m.fa.gz")
    assert name == "chr1"
    assert len(letters) == 1_000_000
    assert letters.count("N") == 160_000
