"""Training as a user does it."""

import keras
import numpy as np
import pandas as pd
import pytest

from crested_like import attach
from crested_like._card import card_of
from crested_like._errors import RecipeError, TrainingError
from crested_like.checkpoints._keras import load_keras, read_card
from crested_like.tl import fit, losses
from crested_like.tl.metrics import R2, PearsonR


def host(value):
    return keras.ops.convert_to_numpy(value)


def predicted(model, data):
    return [(y, host(model(x, training=False))) for x, y in (data[step] for step in range(len(data)))]


def test_it_learns_and_keeps_the_best(tiny, toy, tmp_path):
    model = attach(tiny(), ["A", "C", "G"])
    valid = toy(3, seed=1)
    run = fit(
        model,
        toy(8),
        valid=valid,
        loss="poisson",
        optimizer={"learning_rate": 0.03},
        rounds=6,
        out=tmp_path / "run",
        name="counter",
        card={"license": "CC0-1.0"},
        progress=False,
    )
    history = run.history
    assert history["round"].tolist() == [1, 2, 3, 4, 5, 6]
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert run.best_round == history["valid_pearson_r"].idxmax() + 1
    assert run.figures["valid_pearson_r"] == history["valid_pearson_r"].max() > 0.3

    assert run.model is model
    assert run.model_path == tmp_path / "run" / "counter.keras"
    saved, card = load_keras(run.model_path), read_card(run.model_path)
    for a, b in zip(model.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert card.name == "counter"
    assert card.license == "CC0-1.0"
    assert card.track_table()["identifier"].tolist() == ["A", "C", "G"]
    assert card.metrics["round"] == run.best_round
    assert card.metrics["valid_pearson_r"] == run.figures["valid_pearson_r"]
    assert card.recipe["optimizer"]["learning_rate"] == 0.03
    files = {path.name for path in (tmp_path / "run").iterdir()}
    best = f"best-{run.best_round:04d}.keras"
    assert files == {"config.toml", "environment.json", "history.csv", "tensorboard", "checkpoint.zip", ".lock",
                     best, "counter.keras"}  # fmt: skip


def test_figures_are_those_of_the_metrics(tiny, toy):
    model, valid = tiny(), toy(3, seed=1)
    run = fit(model, toy(), valid=valid, loss="poisson_multinomial", rounds=1, progress=False)
    r, r2, loss = PearsonR(), R2(), losses.PoissonMultinomial()
    pairs = predicted(model, valid)
    for y, p in pairs:
        r.update_state(y, p)
        r2.update_state(y, p)
    wanted = {"valid_pearson_r": host(r.result()), "valid_r2": host(r2.result())}
    wanted["valid_loss"] = np.mean([host(loss(y, p)) for y, p in pairs])
    for name, value in wanted.items():
        np.testing.assert_allclose(run.history[name][0], value, rtol=2e-5)


def test_the_last_batch_of_a_validation_may_be_smaller(tiny, toy):
    class Ragged(toy):
        def __getitem__(self, step):
            x, y = super().__getitem__(step)
            return (x[:1], y[:1]) if step == len(self) - 1 else (x, y)

    model, valid = tiny(), Ragged(3, seed=1)
    run = fit(model, toy(), valid=valid, loss="poisson", rounds=1, progress=False)
    pairs = predicted(model, valid)
    y, p = (np.concatenate(side) for side in zip(*pairs, strict=True))
    np.testing.assert_allclose(run.history["valid_loss"][0], np.mean(p - y * np.log(p + 1e-7)), rtol=2e-5)


class Recorder(keras.callbacks.Callback):
    """Loss of every batch."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))


def test_batches_come_once_each_and_in_order(tiny, toy):
    asked = []

    class Noted(toy):
        def __getitem__(self, step):
            asked.append((self.round, step))
            return super().__getitem__(step)

    data = Noted()
    recorder = Recorder()
    fit(tiny(), data, rounds=3, workers=3, callbacks=[recorder], progress=False)
    assert {(number, step) for number in range(3) for step in range(4)} <= set(asked)
    assert len(asked) <= 3 * 4 + 8  # Keras looks at the first ones

    alone = Recorder()
    fit(tiny(), toy(), rounds=3, workers=1, callbacks=[alone], progress=False)
    assert recorder.losses == alone.losses


def test_accumulating_gradients_equals_the_larger_batch(tiny, toy):
    class Large(toy):
        def __getitem__(self, step):
            pairs = [super(Large, self).__getitem__(2 * step + i) for i in range(2)]
            return tuple(np.concatenate(side) for side in zip(*pairs, strict=True))

    def weights(data, steps, accumulate):
        model = tiny(dropout=0.0)
        model.get_layer("norm").trainable = False  # its statistics are those of a batch
        fit(
            model,
            data(steps),
            loss="poisson",
            optimizer={"name": "adam", "learning_rate": 0.05, "clip_global_norm": 0.01, "weight_decay": 0.1},
            schedule={"warmup": 3, "start": 0.1, "decay": "cosine"},
            rounds=2,
            accumulate=accumulate,
            progress=False,
        )
        return model.get_weights()

    for a, b in zip(weights(toy, 8, 2), weights(Large, 4, 1), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)


def test_averaged_weights_are_validated_and_kept(tiny, toy):
    """After one round of two updates, w1 and w2, the average is 0.75 w1 + 0.25 w2."""

    noted = []

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if keras.backend.backend() == "jax":
                self.model.jax_state_sync()
            noted.append([host(v.value).copy() for v in self.model.trainable_variables])

    model = tiny(dropout=0.0)
    settings = {"optimizer": {"name": "sgd", "learning_rate": 0.5}, "rounds": 1, "ema": 0.75, "progress": False}
    fit(model, toy(2), valid=toy(1, seed=4), callbacks=[Note()], **settings)
    first, second = noted
    for got, one, two in zip(model.trainable_variables, first, second, strict=True):
        np.testing.assert_allclose(host(got.value), 0.75 * one + 0.25 * two, rtol=1e-5, atol=1e-7)
    assert not all(np.allclose(one, two, atol=1e-4) for one, two in zip(first, second, strict=True))


def test_validation_leaves_no_trace(tiny, toy):
    """Averaging, calibration and metrics do not change what is trained."""

    def losses_of(**more):
        recorder = Recorder()
        fit(tiny(), toy(), rounds=3, callbacks=[recorder], progress=False, **more)
        return recorder.losses

    plain = losses_of()
    assert losses_of(valid=toy(2, seed=1)) == plain
    assert losses_of(valid=toy(2, seed=1), ema=0.9, calibration=3) == plain


def test_calibration_takes_the_statistics_of_the_batches(tiny, toy):
    model = tiny(dropout=0.0)
    data = toy(3)
    fit(model, data, rounds=1, calibration=3, optimizer={"learning_rate": 1e-3}, progress=False)
    data.round = 0
    inner = keras.Model(model.input, model.get_layer("conv").output)
    outputs = [host(inner(data[step][0])) for step in range(3)]
    norm = model.get_layer("norm")
    np.testing.assert_allclose(host(norm.moving_mean.value), np.mean([o.mean((0, 1)) for o in outputs], 0), atol=1e-5)
    np.testing.assert_allclose(
        host(norm.moving_variance.value), np.mean([o.var((0, 1)) for o in outputs], 0), rtol=1e-3
    )
    assert norm.momentum == 0.9


def test_heads_of_two_species(tiny, alternating, tmp_path):
    model = tiny(("human", "mouse"))
    run = fit(
        model, alternating(6), valid=alternating(4, seed=1), loss="poisson", rounds=2, out=tmp_path, progress=False
    )
    columns = set(run.history)
    assert {"valid_loss", "valid_human_pearson_r", "valid_mouse_r2", "valid_pearson_r"} <= columns
    last = run.history.iloc[-1]
    assert last["valid_loss"] == pytest.approx((last["valid_human_loss"] + last["valid_mouse_loss"]) / 2)
    valid = alternating(4, seed=1)
    own = [valid[step] for step in (0, 2)]
    wanted = [np.mean(p - y["human"] * np.log(p + 1e-7)) for x, y, _ in own for p in [host(run.model(x)["human"])]]
    if run.best_round == 2:
        assert last["valid_human_loss"] == pytest.approx(np.mean(wanted), rel=1e-4)
    assert list(load_keras(run.model_path).output) == ["human", "mouse"]


def test_patience(tiny, toy, tmp_path):
    settings = {"optimizer": {"learning_rate": 1e-12}, "monitor": "valid_loss", "progress": False}
    run = fit(tiny(dropout=0.0), toy(1), valid=toy(1, seed=1), rounds=9, patience=2, **settings)
    flat = run.history["valid_loss"].to_numpy()
    best = int(np.argmin(flat)) + 1
    assert len(run.history) == run.best_round + 2
    assert run.best_round == best
    later = fit(tiny(dropout=0.0), toy(1), valid=toy(1, seed=1), rounds=9, patience=2, min_rounds=8, **settings)
    assert len(later.history) >= 8


def test_without_validation_the_last_round_is_kept(tiny, toy):
    run = fit(tiny(), toy(), rounds=3, progress=False)
    assert run.best_round == 3
    assert run.folder is run.model_path is None
    best = fit(tiny(), toy(), rounds=3, monitor="loss", progress=False)
    assert best.best_round == best.history["loss"].idxmin() + 1


def test_penalties_of_layers_count(tiny, toy):
    losses_of = [fit(tiny(l2=l2, dropout=0.0), toy(1), rounds=1, progress=False).history["loss"][0] for l2 in (0, 1)]
    weights = tiny(dropout=0.0).get_layer("conv").get_weights()[0]
    assert losses_of[1] - losses_of[0] == pytest.approx(np.square(weights).sum(), rel=1e-3)


def test_a_loss_that_is_no_number_ends_the_training(tiny, toy, tmp_path):
    class Bad(toy):
        def __getitem__(self, step):
            x, y = super().__getitem__(step)
            return (x, y * np.nan) if self.round == 1 else (x, y)

    with pytest.raises(
        TrainingError, match=r"The loss of round 2 is nan: training cannot go on. The checkpoint of round 1"
    ):
        fit(tiny(), Bad(), rounds=3, out=tmp_path, progress=False)
    assert len(pd.read_csv(tmp_path / "history.csv")) == 1


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"rouns": 3}, RecipeError, "training.rouns: no such key. Did you mean 'rounds' or"),
        ({"loss": "poison"}, RecipeError, "there is no loss 'poison'"),
        ({"optimizer": {"lr": 3}}, RecipeError, "optimizer.lr: no such key"),
        ({"card": {"licence": "x"}}, RecipeError, "card.licence: no such key. Did you mean 'license'"),
        ({"valid": [1]}, TypeError, "valid must be a keras.utils.PyDataset, such as .*Batches; got list"),
        ({"monitor": "valid_r3"}, RecipeError, "training.monitor: no round has 'valid_r3'. Did you mean 'valid_r2'"),
    ],
)
def test_what_fit_refuses(tiny, toy, settings, error, message):
    with pytest.raises(error, match=message):
        fit(tiny(), toy(), **{"valid": toy(1), "progress": False, **settings})


def test_a_recipe_takes_no_data(toy):
    with pytest.raises(RecipeError, match=r"A recipe names its own data, under \[data.<head>\]"):
        fit({"model": {"architecture": "borzoi"}}, toy())
    with pytest.raises(RecipeError, match=r"There is no table \[data.<head>\]"):
        fit({"model": {"architecture": "borzoi"}})


def test_the_card_of_the_model_itself_stays(tiny, toy):
    model = attach(tiny(), ["A", "C", "G"])
    before = card_of(model)
    fit(model, toy(), rounds=1, progress=False)
    assert card_of(model) == before


def test_a_loss_object(tiny, toy):
    a = fit(tiny(), toy(), loss=losses.PoissonMultinomial(total_weight=0.2), rounds=1, progress=False)
    b = fit(tiny(), toy(), loss={"name": "poisson_multinomial", "total_weight": 0.2}, rounds=1, progress=False)
    assert a.history["loss"][0] == b.history["loss"][0]
