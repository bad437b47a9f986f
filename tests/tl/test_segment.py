"""Token models in tl, other lengths, and segmentation of sequences of any length."""

import keras
import numpy as np
import pytest

import crested_like as crested
from crested_like import tl
from crested_like._errors import GeometryError, SequenceError, TrackError
from crested_like.genome import tokenizer
from crested_like.tl import zoo

#: Of probabilities: other batches and lengths round otherwise, and the weights here make steep ones of it.
ROUNDING = 2e-4
TRUNK = {"width": 12, "attention_heads": 2, "key_size": 4, "feedforward_width": 10, "transformer_blocks": 1}
BORZOI = {
    "input_length": 256,
    "output_bins": 24,
    "stem_filters": 6,
    "tower_filters": (6, 8, 12),
    "attention_heads": 2,
    "key_size": 4,
    "position_features": 4,
    "transformer_blocks": 1,
    "final_filters": 10,
}


@pytest.fixture(scope="module")
def nt(shaken):
    return shaken(zoo.segment_nt(input_length=240, features=["exon", "intron", "gene"], **TRUNK))


@pytest.fixture(scope="module")
def borzoi(shaken):
    return shaken(zoo.segment_borzoi(features=["exon", "intron"], **BORZOI))


@pytest.fixture
def dna(rng):
    return lambda length: "".join(rng.choice(list("ACGT"), length))


def of_tokens(model, sequence):
    """What the model itself says of a sequence."""
    tokens = tokenizer("v2_6mer").encode_batch([sequence])
    return model.predict(tokens, verbose=0)[0]


class TestTokens:
    def test_predict_tokenizes(self, nt, dna):
        sequences = [dna(240), dna(240).lower()]
        got = tl.predict(sequences, nt)
        assert got.shape == (2, 240, 3)
        assert np.allclose(got[0], of_tokens(nt, sequences[0]), atol=ROUNDING)
        assert np.allclose(got[1], of_tokens(nt, sequences[1].upper()), atol=ROUNDING)

    def test_geometry_counts_bases(self, nt):
        assert tl.geometry(nt) == tl.Geometry(input_length=240, output_bins=240, bin_size=1, crop=0)

    def test_embed(self, nt, dna):
        sequence = dna(240)
        got = tl.embed(sequence, nt, "trunk")
        inner = keras.Model(nt.inputs, nt.get_layer("trunk").output)
        assert np.allclose(got[0], of_tokens(inner, sequence), atol=ROUNDING)

    def test_both_strands(self, nt, dna):
        sequence = dna(240)
        back = sequence.translate(str.maketrans("ACGT", "TGCA"))[::-1]
        want = (of_tokens(nt, sequence) + of_tokens(nt, back)[::-1]) / 2
        assert np.allclose(tl.predict(sequence, nt, rc=True, unstranded=True)[0], want, atol=ROUNDING)

    def test_chosen_features(self, nt, dna):
        sequence = dna(240)
        assert np.array_equal(tl.predict(sequence, nt, tracks=[2])[..., 0], tl.predict(sequence, nt)[..., 2])

    def test_a_batch_that_is_not_full(self, nt, dna):
        sequences = [dna(240) for _ in range(3)]
        got = tl.predict(sequences, nt, batch_size=2)
        assert np.allclose(got[2], of_tokens(nt, sequences[2]), atol=ROUNDING)

    def test_n_is_an_error(self, nt, dna):
        with pytest.raises(SequenceError, match=r"words of 6 bases, .*must hold no N.* Window 0 .* at base 100"):
            tl.predict(dna(100) + "N" + dna(139), nt)

    def test_any_length_needs_one(self, dna):
        model = zoo.segment_nt(input_length=None, **TRUNK)
        with pytest.raises(GeometryError, match=r"any length.*with_input_length"):
            tl.predict(dna(240), model)


class TestLengths:
    @pytest.mark.parametrize("length", [24, 600])
    def test_tokens(self, length, nt, dna):
        other, sequence = tl.with_input_length(nt, length), dna(length)
        got = tl.predict(sequence, other)
        assert got.shape == (1, length, 3)
        fixed = zoo.segment_nt(input_length=length, features=["exon", "intron", "gene"], **TRUNK)
        fixed.set_weights(nt.get_weights())
        assert np.allclose(got, tl.predict(sequence, fixed), atol=ROUNDING)

    def test_any_length_and_back(self, nt, dna):
        free, sequence = tl.with_input_length(nt, None), dna(240)
        assert free.input_shape == (None, None)
        back = tl.predict(sequence, tl.with_input_length(free, 240))
        assert np.allclose(back, tl.predict(sequence, nt), atol=ROUNDING)

    def test_relative_positions_are_made_anew(self, borzoi, dna):
        longer = tl.with_input_length(borzoi, 512)
        fixed = zoo.segment_borzoi(features=["exon", "intron"], **{**BORZOI, "input_length": 512, "output_bins": 88})
        fixed.set_weights(borzoi.get_weights())
        assert tl.geometry(longer) == tl.Geometry(input_length=512, output_bins=352, bin_size=1, crop=80)
        sequence = dna(512)
        assert np.allclose(tl.predict(sequence, longer), tl.predict(sequence, fixed), atol=ROUNDING)

    def test_every_head_and_the_card_come_along(self, shaken):
        model = shaken(zoo.borzoi(heads={"human": 5, "mouse": 3}, **BORZOI))
        crested.attach(model, {"human": list("abcde"), "mouse": list("xyz")})
        other = tl.with_input_length(model, 512)
        assert {head: tensor.shape[-1] for head, tensor in other.output.items()} == {"human": 5, "mouse": 3}
        assert tl.predict("ACGT" * 128, other, head="mouse").shape == (1, 88, 3)

    def test_lengths_that_do_not_fit(self, nt, borzoi):
        with pytest.raises(GeometryError, match="words of 6 bases; 100 bp are no multiple"):
            tl.with_input_length(nt, 100)
        with pytest.raises(GeometryError, match="'segment_borzoi' cannot take 100 bp"):
            tl.with_input_length(borzoi, 100)


class TestSegment:
    def test_one_window_is_predict(self, nt, dna):
        sequence = dna(240)
        found = tl.segment(sequence, nt)
        assert found.dims == ("sequence", "position", "feature")
        assert found["feature"].to_numpy().tolist() == ["exon", "intron", "gene"]
        assert found.attrs["units"] == "probability"
        assert np.array_equal(found.to_numpy(), tl.predict(sequence, nt))

    @pytest.mark.parametrize("overlap", [None, 0, 100])
    def test_each_base_comes_from_the_nearest_window(self, overlap, nt, dna):
        sequence = dna(1000)
        shared = 60 if overlap is None else overlap
        starts = [*range(0, 760, 240 - shared), 760]
        windows = {start: tl.predict(sequence[start : start + 240], nt)[0] for start in starts}
        want = np.empty((1000, 3), "float32")
        for base in range(1000):
            covering = [start for start in starts if start <= base < start + 240]
            nearest = min(covering, key=lambda start: (abs(start + 119.5 - base), -start))
            want[base] = windows[nearest][base - nearest]
        got = tl.segment(sequence, nt, overlap=overlap, batch_size=2).to_numpy()[0]
        assert np.allclose(got, want, atol=ROUNDING)

    def test_lengths_that_differ_end_in_nan(self, nt, dna):
        sequences = [dna(500), dna(240), dna(1000)]
        found = tl.segment(list(zip("abc", sequences, strict=True)), nt)
        assert found.shape == (3, 1000, 3)
        assert found["sequence"].to_numpy().tolist() == ["a", "b", "c"]
        assert np.isfinite(found).all(axis=2).sum(axis=1).to_numpy().tolist() == [500, 240, 1000]
        assert np.allclose(found[1, :240], tl.predict(sequences[1], nt)[0], atol=ROUNDING)

    @pytest.mark.parametrize("length", [24, 120, 130])
    def test_shorter_than_the_window(self, length, nt, dna):
        sequence = dna(length)
        got = tl.segment(sequence, nt).to_numpy()[0]
        assert got.shape == (length, 3)
        first = tl.predict(sequence[: length // 24 * 24], tl.with_input_length(nt, length // 24 * 24))[0]
        assert np.allclose(got[:24], first[:24], atol=ROUNDING)

    def test_a_model_of_any_length(self, nt, dna):
        sequence = dna(240)
        free = tl.with_input_length(nt, None)
        assert np.allclose(tl.segment(sequence, free), tl.segment(sequence, nt), atol=ROUNDING)

    def test_flanks_of_a_region_are_those_of_its_chromosome(self, borzoi, genome):
        found = tl.segment("chr1:1001-1050", borzoi, genome)
        region = genome.fetch("chr1", 1025 - 128, 1025 + 128)
        want = tl.predict(region, borzoi)[0]  # the central 96 bases
        assert np.allclose(found.to_numpy()[0], want[23:73], atol=ROUNDING)
        assert (found["chrom"].item(), found["start"].item(), found["end"].item()) == ("chr1", 1000, 1050)

    def test_beyond_the_ends_is_n(self, borzoi, genome):
        found = tl.segment([("chr2", 0, 96)], borzoi, genome).to_numpy()[0]
        want = tl.predict("N" * 80 + genome.fetch("chr2", 0, 176), borzoi)[0]
        assert np.allclose(found, want, atol=ROUNDING)

    def test_token_windows_stay_on_the_chromosome(self, nt, genome):
        found = tl.segment([("chr2", 950, 1000)], nt, genome).to_numpy()[0]
        want = tl.predict(genome.fetch("chr2", 760, 1000), nt)[0]
        assert np.allclose(found, want[190:], atol=ROUNDING)

    def test_n_of_a_single_base_model_is_allowed(self, borzoi, dna):
        assert np.isfinite(tl.segment(dna(100) + "N" * 50 + dna(100), borzoi)).all()

    @pytest.mark.parametrize("ending", [".zarr", ".h5", ".npz"])
    def test_files(self, ending, nt, dna, tmp_path):
        sequence = dna(500)
        found = tl.segment(sequence, nt, out=tmp_path / f"found{ending}")
        assert np.array_equal(found.to_numpy(), tl.segment(sequence, nt).to_numpy())
        assert (tmp_path / f"found{ending}").exists()

    def test_a_bigwig_file_a_feature(self, borzoi, genome, tmp_path):
        pytest.importorskip("pybigtools")
        found = tl.segment([("chr1", 100, 400), ("chr2", 50, 120)], borzoi, genome, out=tmp_path / "found.bw")
        values = crested.genome.read_bigwig(tmp_path / "found.exon.bw", "chr2", 50, 120)
        assert np.allclose(values, found.sel(feature="exon")[1, :70], atol=ROUNDING)
        assert (tmp_path / "found.intron.bw").is_file()

    def test_track_heads_beside_it(self, dna, shaken):
        model = shaken(zoo.segment_borzoi(heads={"human": 3}, **BORZOI))
        assert tl.segment(dna(300), model).shape == (1, 300, 14)
        with pytest.raises(GeometryError, match="has bins of 4 bp: segment"):
            tl.segment(dna(300), model, head="human")

    def test_errors(self, nt, dna):
        with pytest.raises(SequenceError, match=r"empty|nothing"):
            tl.segment("", nt)
        with pytest.raises(SequenceError, match="4 words of 6 bases at the least; the shortest sequence has 20"):
            tl.segment(dna(20), nt)
        with pytest.raises(GeometryError, match="overlap must be smaller than the model's output of 240 bp; got 240"):
            tl.segment(dna(500), nt, overlap=240)
        with pytest.raises(ValueError, match=r"must end in one of \.zarr"):
            tl.segment(dna(240), nt, out="found.txt")
        with pytest.raises(TrackError, match="no head 'x'"):
            tl.segment(dna(240), nt, head="x")


class TestIntervals:
    @pytest.fixture
    def found(self, nt, dna):
        found = tl.segment([("a", dna(240)), ("b", dna(100))], nt)
        found[:] = np.where(np.isfinite(found), 0.1, np.nan)
        found[0, 10:20, 0] = 0.8
        found[0, 239:, 0] = 0.5
        found[1, :100, 2] = np.linspace(0.6, 0.8, 100)
        return found

    def test_stretches_from_the_threshold_on(self, found):
        rows = tl.intervals(found).round(4).to_numpy().tolist()
        assert rows == [
            ["a", 10, 20, "exon", 0.8],
            ["a", 239, 240, "exon", 0.5],
            ["b", 0, 100, "gene", 0.7],
        ]
        assert len(tl.intervals(found, 0.75)) == 2

    def test_regions_count_from_their_start(self, borzoi, genome):
        table = tl.intervals(tl.segment([("chr1", 500, 600)], borzoi, genome), threshold=0.0)
        assert table.iloc[0][["chrom", "start", "end"]].tolist() == ["chr1", 500, 600]

    def test_files(self, nt, dna, tmp_path):
        sequence = dna(300)
        found = tl.segment(sequence, nt, out=tmp_path / "found.bed", threshold=0.3)
        lines = (tmp_path / "found.bed").read_text().splitlines()
        assert len(lines) == len(tl.intervals(found, 0.3)) > 0
        tl.segment(sequence, nt, out=tmp_path / "found.gff3")
        assert (tmp_path / "found.gff3").read_text().startswith("##gff-version 3\nsequence_0\tsegment_nt\t")

    def test_no_probability(self, found):
        with pytest.raises(ValueError, match="threshold must be"):
            tl.intervals(found, 2.0)
