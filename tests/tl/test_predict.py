from __future__ import annotations

import keras
import numpy as np
import pytest

import crested_like as crested
from crested_like._errors import GeometryError, ModelFileError, RegionError, SequenceError, TrackError
from crested_like.tl import embed, predict, zoo

from .conftest import TINY, shake

LETTERS = np.array(list("ACGT"))
#: float32 rounding of the same arithmetic in another batch size or order
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def text(one_hot: np.ndarray) -> str:
    return "".join(LETTERS[one_hot.argmax(-1)])


def direct(model: keras.Model, x: np.ndarray, head: str | None = None) -> np.ndarray:
    y = model.predict(x, verbose=0)
    return y[head] if head else y


class TestInputs:
    def test_strings_arrays_and_case_agree(self, model, one_hot):
        want = direct(model, one_hot)
        sequences = [text(x) for x in one_hot]
        np.testing.assert_allclose(predict(one_hot, model), want, **CLOSE)
        np.testing.assert_allclose(predict(sequences, model), want, **CLOSE)
        np.testing.assert_allclose(predict(np.array(sequences), model), want, **CLOSE)
        np.testing.assert_allclose(predict(sequences[0].lower(), model), want[:1], **CLOSE)
        np.testing.assert_allclose(predict(one_hot[0], model), want[:1], **CLOSE)
        np.testing.assert_allclose(predict([*one_hot], model), want, **CLOSE)
        np.testing.assert_allclose(predict(one_hot.astype(np.uint8), model), want, **CLOSE)
        np.testing.assert_allclose(predict(list(zip("abcde", sequences, strict=True)), model), want, **CLOSE)

    def test_unknown_bases_are_zero(self, model, one_hot):
        sequence = text(one_hot[0])
        holed = one_hot[:1].copy()
        holed[:, 10:20] = 0
        got = predict(sequence[:10] + "NRYSWKMBDH" + sequence[20:], model)
        np.testing.assert_allclose(got, direct(model, holed), **CLOSE)

    def test_regions_are_centred_windows(self, model, genome):
        want = direct(model, crested.genome.one_hot(genome.fetch("chr1", 1488, 2512))[None])
        for region in ("chr1:2000-2001", ("chr1", 1999, 2001), [("chr1", 1990, 2010)]):
            np.testing.assert_allclose(predict(region, model, genome), want, **CLOSE)

    def test_beyond_the_chromosome_is_n(self, model, genome):
        sequence = "N" * 512 + genome.fetch("chr1", 0, 512)
        np.testing.assert_allclose(predict(("chr1", 0, 1), model, genome), predict(sequence, model), **CLOSE)

    def test_bed_fasta_table_and_registered_genome(self, model, genome, tmp_path, monkeypatch):
        import pandas as pd

        bed = tmp_path / "regions.bed"
        bed.write_text("track name=x\nchr1\t1000\t1010\tfirst\nchr2\t400\t500\n")
        want = predict([("chr1", 1000, 1010), ("chr2", 400, 500)], model, genome)
        np.testing.assert_array_equal(predict(str(bed), model, genome), want)
        np.testing.assert_array_equal(predict(bed, model, genome), want)
        table = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [1000, 400], "end": [1010, 500]})
        np.testing.assert_array_equal(predict(table, model, genome), want)
        crested.register_genome(genome)
        np.testing.assert_array_equal(predict(bed, model), want)
        fasta = tmp_path / "windows.fa"
        fasta.write_text(f">one\n{genome.fetch('chr1', 493, 1517)}\n>two\n{genome.fetch('chr2', -62, 962)}\n")
        np.testing.assert_array_equal(predict(str(fasta), model), want)

    def test_anndata(self, model, genome):
        anndata = pytest.importorskip("anndata")
        import pandas as pd

        want = predict([("chr1", 1000, 1010), ("chr2", 400, 500)], model, genome)
        names = anndata.AnnData(np.zeros((1, 2)), var=pd.DataFrame(index=["chr1:1000-1010", "chr2:400-500"]))
        np.testing.assert_array_equal(predict(names, model, genome), want)
        columns = pd.DataFrame({"chr": ["chr1", "chr2"], "start": [1000, 400], "end": [1010, 500]}, index=["a", "b"])
        np.testing.assert_array_equal(predict(anndata.AnnData(np.zeros((1, 2)), var=columns), model, genome), want)
        nothing = anndata.AnnData(np.zeros((1, 1)), var=pd.DataFrame(index=["gene"]))
        with pytest.raises(SequenceError, match="'gene' is not of the form chrom:start-end"):
            predict(nothing, model, genome)


class TestHeadsAndTracks:
    def test_several_heads_come_as_a_dict(self, two_heads, one_hot):
        got = predict(one_hot, two_heads)
        want = direct(two_heads, one_hot)
        assert set(got) == {"human", "mouse"}
        for head in got:
            np.testing.assert_allclose(got[head], want[head], **CLOSE)
            np.testing.assert_allclose(predict(one_hot, two_heads, head=head), want[head], **CLOSE)

    def test_several_heads_are_computed_in_one_pass(self, two_heads, one_hot, monkeypatch):
        from crested_like.tl import _predict

        calls = []
        real = _predict.forward_all
        monkeypatch.setattr(_predict, "forward_all", lambda model, x: calls.append(len(x)) or real(model, x))
        monkeypatch.setattr(_predict, "forward", lambda *_: pytest.fail("one head by itself"))
        got = predict(one_hot, two_heads, rc=True, unstranded=True, batch_size=len(one_hot))
        assert calls == [len(one_hot)] * 2  # strands
        monkeypatch.undo()
        for head in got:
            want = predict(one_hot, two_heads, head=head, rc=True, unstranded=True)
            np.testing.assert_allclose(got[head], want, **CLOSE)

    def test_the_only_head_goes_by_its_name_too(self, model, one_hot):
        want = predict(one_hot[:1], model)
        np.testing.assert_array_equal(predict(one_hot[:1], model, head="human"), want)
        np.testing.assert_array_equal(predict(one_hot[:1], model, head="head_human"), want)

    @pytest.mark.parametrize("tracks", [[3], [4, 0, 2], slice(1, 3), 2])
    def test_tracks_are_those_of_the_whole(self, model, one_hot, tracks):
        got = predict(one_hot, model, tracks=tracks)
        want = direct(model, one_hot)[..., np.atleast_1d(np.arange(5)[tracks])]
        np.testing.assert_allclose(got, want, **CLOSE)

    def test_other_tracks_are_never_computed(self, model, one_hot, monkeypatch):
        from crested_like.tl import _predict

        widths = []
        monkeypatch.setattr(
            _predict, "forward", lambda m, x: widths.append(m.output_shape[-1]) or m.predict_on_batch(x)
        )
        predict(one_hot[:1], model, tracks=[1, 3])
        assert widths == [2]

    def test_reduced_head_follows_later_training(self, one_hot):
        if keras.backend.backend() == "openvino":
            pytest.skip("OpenVINO compiles weights in, and does not train")
        model = shake(zoo.borzoi(heads={"human": 5}, **TINY))
        predict(one_hot[:1], model, tracks=[1])
        head = model.get_layer("head_human")
        head.set_weights([2 * w for w in head.get_weights()])
        np.testing.assert_allclose(
            predict(one_hot[:1], model, tracks=[1]), direct(model, one_hot[:1])[..., [1]], **CLOSE
        )

    @pytest.mark.parametrize("activation", ["softmax", "softplus"])
    @pytest.mark.parametrize("apart", [False, True])
    def test_heads_of_other_makers(self, one_hot, activation, apart):
        dna = keras.Input((1024, 4))
        x = keras.layers.MaxPooling1D(8)(keras.layers.Conv1D(3, 5)(dna))
        if apart:
            x = keras.layers.Activation(activation)(keras.layers.Conv1D(6, 1)(x))
        else:
            x = keras.layers.Conv1D(6, 1, activation=activation)(x)
        model = shake(keras.Model(dna, x))
        want = direct(model, one_hot)[..., [5, 1]]
        np.testing.assert_allclose(predict(one_hot, model, tracks=[5, 1]), want, **CLOSE)

    def test_names_from_a_card(self, model, one_hot):
        named = crested.attach(keras.models.clone_model(model), ["a", "b", "c", "d", "e"])
        named.set_weights(model.get_weights())
        got = predict(one_hot[:1], named, tracks=["e", "a"])
        np.testing.assert_allclose(got, direct(model, one_hot[:1])[..., [4, 0]], **CLOSE)
        with pytest.raises(TrackError, match="'f'"):
            predict(one_hot[:1], named, tracks=["f"])

    def test_models_with_one_value_per_sequence(self, golden_dir, rng):
        model = keras.models.load_model(golden_dir / "crested_simple_convnet_tiny" / "model.keras")
        x = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (3, 240))]
        np.testing.assert_allclose(predict(x, model), direct(model, x), **CLOSE)
        np.testing.assert_allclose(predict(x, model, tracks=[2]), direct(model, x)[:, [2]], **CLOSE)


class TestStrandsShiftsAndReplicates:
    def test_reverse_complement_swaps_strand_pairs(self, one_hot):
        import pandas as pd

        model = shake(zoo.borzoi(heads={"human": 5}, **TINY))
        pairs = [1, 0, 2, 4, 3]
        crested.attach(model, pd.DataFrame({"identifier": ["a+", "a-", "b", "c+", "c-"], "strand_pair": pairs}))
        forward, backward = direct(model, one_hot), direct(model, one_hot[:, ::-1, ::-1])
        want = (forward + backward[:, ::-1][..., pairs]) / 2
        np.testing.assert_allclose(predict(one_hot, model, rc=True), want, **CLOSE)
        # tracks whose partner is not among them
        np.testing.assert_allclose(predict(one_hot, model, rc=True, tracks=[4, 0]), want[..., [4, 0]], **CLOSE)
        unstranded = (forward + backward[:, ::-1]) / 2
        np.testing.assert_allclose(predict(one_hot, model, rc=True, unstranded=True), unstranded, **CLOSE)

    def test_shifts_come_after_reverse_complement(self, model, one_hot):
        def shifted(x, k):
            out = np.zeros_like(x)
            out[:, max(k, 0) : x.shape[1] + min(k, 0)] = x[:, max(-k, 0) : x.shape[1] - max(k, 0)]
            return out

        views = [direct(model, shifted(one_hot, k)) for k in (-2, 1)]
        views += [direct(model, shifted(one_hot[:, ::-1, ::-1], k))[:, ::-1] for k in (-2, 1)]
        got = predict(one_hot, model, shifts=(-2, 1), rc=True, unstranded=True)
        np.testing.assert_allclose(got, np.mean(views, axis=0), **CLOSE)

    def test_mean_of_replicates(self, model, one_hot):
        other = shake(zoo.borzoi(heads={"human": 5}, **TINY), seed=1)
        want = (direct(model, one_hot) + direct(other, one_hot)) / 2
        np.testing.assert_allclose(predict(one_hot, [model, other]), want, **CLOSE)
        np.testing.assert_allclose(predict(one_hot, [model, other], tracks=[3]), want[..., [3]], **CLOSE)

    def test_strands_must_be_known(self, two_heads, one_hot):
        with pytest.raises(TrackError, match=r"names no strand pairs.*crested_like\.attach.*unstranded=True"):
            predict(one_hot, two_heads, head="mouse", rc=True)

    def test_replicates_must_fit(self, model, two_heads, one_hot):
        longer = zoo.borzoi(heads={"human": 5}, **{**TINY, "output_bins": 8})
        with pytest.raises(GeometryError, match="must have the same bins"):
            predict(one_hot, [model, longer])
        with pytest.raises(TrackError, match="must have the same tracks"):
            predict(one_hot, [model, zoo.borzoi(heads={"human": 4}, **TINY)])
        with pytest.raises(ValueError, match="at least one model"):
            predict(one_hot, [])

    def test_uneven_crop_has_no_reverse_complement(self, one_hot):
        dna = keras.Input((1024, 4))
        model = keras.Model(dna, keras.layers.Conv1D(2, 1)(keras.layers.Cropping1D((0, 24))(dna)))
        import pandas as pd

        crested.attach(model, pd.DataFrame({"identifier": ["a", "b"], "strand_pair": [0, 1]}))
        with pytest.raises(GeometryError, match="0 bp are cropped on the left and 24 on the right"):
            predict(one_hot, model, rc=True)


class TestBatches:
    @pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
    def test_size_changes_no_number(self, model, one_hot, batch_size):
        got = predict(one_hot, model, batch_size=batch_size)
        np.testing.assert_allclose(got, direct(model, one_hot), **CLOSE)

    def test_every_batch_has_one_size(self, model, one_hot, monkeypatch):
        from crested_like.tl import _predict

        sizes = []
        monkeypatch.setattr(_predict, "forward", lambda m, x: sizes.append(len(x)) or np.zeros((len(x), 16, 5)))
        assert predict(one_hot, model, batch_size=2).shape == (5, 16, 5)
        assert sizes == [2, 2, 2]

    def test_progress(self, model, one_hot, capsys):
        predict(one_hot, model, batch_size=2, progress=True)
        assert "5/5" in capsys.readouterr().err
        predict(one_hot, model, batch_size=2)
        assert not capsys.readouterr().err

    @pytest.mark.parametrize("size", [0, -1, 2.5])
    def test_bad_size(self, model, one_hot, size):
        with pytest.raises((TypeError, ValueError), match="batch_size must be an integer of at least 1"):
            predict(one_hot, model, batch_size=size)


class TestBadInput:
    @pytest.mark.parametrize(
        ("source", "error", "message"),
        [
            ("ACGT", SequenceError, "The sequence has 4 bases; the model takes exactly 1,024. Pad or trim it"),
            (["A" * 1024, "ACGT"], SequenceError, "Sequence 1 has 4 bases"),
            ("A" * 1023 + "X", SequenceError, "'X'"),
            (["A" * 1024, "A" * 1000 + "-" * 24], SequenceError, "Sequence 1 has .*-.* at position 1,000"),
            (np.zeros((2, 4, 1024)), SequenceError, "transpose"),
            (np.zeros((2, 512, 4)), SequenceError, "has 512 bases; the model takes exactly 1,024"),
            (np.zeros((1024,)), SequenceError, "shape"),
            ("chr9:100-200", RegionError, "chr9"),
            ("1:100-200", RegionError, "chr1"),
            ("chr1:100000-100100", RegionError, "5,000"),
            ("chr1:0-100", RegionError, "1"),
            (["A" * 1024, "chr1:1-100"], SequenceError, "not both in one call"),
            ([("mine", "A" * 1024), ("short", "ACGT")], SequenceError, "Sequence 'short' has 4 bases"),
            ([], (SequenceError, RegionError), "nothing"),
        ],
    )
    def test_says_what_is_wrong(self, model, genome, source, error, message):
        with pytest.raises(error, match=message):
            predict(source, model, genome)

    def test_bed_line(self, model, genome, tmp_path):
        bed = tmp_path / "bad.bed"
        bed.write_text("chr1\t100\t200\nchr1\t300\n")
        with pytest.raises(RegionError, match="line 2"):
            predict(bed, model, genome)

    def test_what_is_no_model(self, one_hot):
        with pytest.raises(ModelFileError, match=r"A keras.Model is needed; got str.*crested_like.load_model"):
            predict(one_hot, "borzoi_human_rep0")

    def test_heads_and_tracks(self, two_heads, one_hot):
        with pytest.raises(TrackError, match=r"no head 'humen'; it has 'human', 'mouse'. Did you mean 'human'"):
            predict(one_hot, two_heads, head="humen")
        with pytest.raises(TrackError, match="pick one with head="):
            predict(one_hot, two_heads, tracks=[0])
        with pytest.raises(TrackError, match="5"):
            predict(one_hot, two_heads, head="human", tracks=[5])

    def test_no_shift(self, model, one_hot):
        with pytest.raises(ValueError, match=r"at least one shift.*\(0,\)"):
            predict(one_hot, model, shifts=())


class TestEmbed:
    @pytest.mark.parametrize("layer", ["stem_pool", "tower_2_pool", "transformer_1_add", "upsample_1", "crop", "trunk"])
    def test_any_named_layer(self, model, one_hot, layer):
        want = keras.Model(model.input, model.get_layer(layer).output).predict(one_hot, verbose=0)
        np.testing.assert_allclose(embed(one_hot, model, layer, batch_size=2), want, **CLOSE)

    def test_unknown_layer(self, model, one_hot):
        with pytest.raises(ModelFileError, match=r"no layer 'trunc'. Did you mean 'trunk'"):
            embed(one_hot, model, "trunc")
