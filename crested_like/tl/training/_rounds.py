"""The rounds of a run: train, validate, keep the best, write a checkpoint."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import keras

from crested_like._card import ModelCard
from crested_like._errors import TrainingError
from crested_like.tl.training._average import averaged, calibrate, kept
from crested_like.tl.training._config import Recipe
from crested_like.tl.training._data import Prefetched
from crested_like.tl.training._devices import alone, devices_for, making, training_on
from crested_like.tl.training._figures import Measure
from crested_like.tl.training._folder import Keeper, settings_of
from crested_like.tl.training._network import twin
from crested_like.tl.training._optimizer import PerExample, optimizer_of, schedule_of
from crested_like.tl.training._random import forked, generator_states, seed_everything, set_generator_states
from crested_like.tl.training._remat import rematerialised
from crested_like.tl.training._state import Progress

log = logging.getLogger("crested_like.train")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything a run needs."""

    recipe: Recipe
    model: keras.Model
    """What is wanted in the end: for whole windows, float32."""
    data: keras.utils.PyDataset
    valid: keras.utils.PyDataset | None
    loss: keras.losses.Loss
    card: ModelCard


def train(
    plan: Plan, keeper: Keeper, *, callbacks: Sequence[keras.callbacks.Callback] = (), progress: bool | None = None
) -> Progress:
    """Train from the start, or from where the keeper says; afterwards ``plan.model`` has the best weights.

    Raises
    ------
    TrainingError
        If the loss is no number, or the keeper holds another run.
    """
    training = plan.recipe.training
    shared = devices_for(training.devices, training.batch_size)
    with Prefetched(plan.data, training.workers) as data, training_on(shared), forked():
        with making(shared):
            network = network_for(plan, shared)
            trainee = rematerialised(network) if training.remat else network
            trainee.compile(optimizer_of(plan.recipe, len(data)), _losses(trainee, plan.loss), auto_scale_loss=False)
            trainee.optimizer.build(trainee.trainable_variables)
        seed_everything(network, training.seed)
        facts = {
            "data.batches": len(data),
            "model.parameters": network.count_params(),
            "schedule.decay_steps": schedule_of(plan.recipe, len(data)).decay_steps,
        }
        done = keeper.resume(trainee, settings_of(plan.recipe.to_tables(), **facts))
        if done.rounds:
            log.info("going on after round %d", done.rounds)
        if not _is_over(plan, done):
            trainee.fit(
                data,
                initial_epoch=done.rounds,
                epochs=training.rounds,
                callbacks=[_Rounds(plan, network, data, keeper, done), _Bar(progress), *callbacks],
                shuffle=False,
                verbose=0,
            )
    keeper.finish(plan.model, done)
    return done


def network_for(plan: Plan, shared: Sequence[str] = ()) -> keras.Model:
    """The network that is trained: the model itself where it can be."""
    augment, training = plan.recipe.augment, plan.recipe.training
    if augment.bins is None and training.precision == "float32" and not shared:
        return plan.model
    return twin(plan.model, bins=augment.bins, flank=augment.flank, precision=training.precision)


def _losses(model: keras.Model, loss: keras.losses.Loss) -> Any:
    """One loss for each head: their sum is what is minimised."""
    return {head: PerExample(loss) for head in model.output} if isinstance(model.output, dict) else PerExample(loss)


def _is_over(plan: Plan, done: Progress) -> bool:
    training = plan.recipe.training
    if done.rounds >= training.rounds:
        return True
    patience = training.patience is not None and done.rounds_since_best >= training.patience
    return patience and done.rounds >= max(training.min_rounds, 1)


class _Rounds(keras.callbacks.Callback):
    """What happens before and after each round. Keras counts them from 0, everything else here from 1."""

    def __init__(self, plan: Plan, network: keras.Model, data: Prefetched, keeper: Keeper, done: Progress) -> None:
        super().__init__()
        self.plan, self.network, self.data, self.keeper, self.done = plan, network, data, keeper, done
        self.measure = Measure(plan.model, PerExample(plan.loss))
        self.generators = generator_states()  # Keras draws from them while it looks at the first batch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.monotonic()
        self.data.start(epoch)
        set_generator_states(self.generators)
        self.generators = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        done, number = self.done, epoch + 1
        figures = {"round": number, "loss": float(logs["loss"]), "learning_rate": self._learning_rate()}
        if not math.isfinite(figures["loss"]):
            raise TrainingError(
                f"The loss of round {number} is {figures['loss']}: training cannot go on. The checkpoint of round "
                f"{epoch} is kept. Lower optimizer.learning_rate, clip gradients, or warm up for longer."
            )
        with self._as_validated():
            if self.plan.valid is not None:
                with Prefetched(self.plan.valid, self.plan.recipe.training.workers) as valid:
                    valid.start(0)
                    figures |= {f"valid_{name}": value for name, value in self.measure(valid).items()}
            better = self._is_better(figures)
            if better:
                self.keeper.keep_best(self.plan.model, self._card(figures), number)
        done.rounds, done.best = number, number if better else done.best
        done.seconds += time.monotonic() - self.started
        done.history.append({**figures, "seconds": round(done.seconds, 3)})
        self.keeper.checkpoint(self.model, done)
        said = ", ".join(f"{name} {value:.5g}" for name, value in figures.items() if name != "round")
        log.info("round %d of %d: %s%s", number, self.plan.recipe.training.rounds, said, " (best)" if better else "")
        self.model.stop_training = _is_over(self.plan, done)

    @contextmanager
    def _as_validated(self) -> Iterator[None]:
        """``plan.model`` as it would be shipped now; afterwards the network is as if it had never been looked at."""
        training, network = self.plan.recipe.training, self.network
        with ExitStack() as stack:
            if training.ema is not None:
                stack.enter_context(averaged(self.model))
            if training.calibration:
                stack.enter_context(kept(network.non_trainable_variables))
                stack.enter_context(forked())
                calibrate(network, (self.data[i][0] for i in range(min(training.calibration, len(self.data)))))
            if network is not self.plan.model:
                self.plan.model.set_weights(network.get_weights())
                stack.enter_context(alone())
            yield

    def _is_better(self, figures: dict[str, float]) -> bool:
        name = self.plan.recipe.training.monitor
        if name not in figures or self.done.best is None:  # without validation the last round is the best
            return True
        sign = -1 if name.endswith("loss") else 1
        new, old = sign * figures[name], sign * self.done.best_figures[name]
        return new > old or (math.isnan(old) and not math.isnan(new))

    def _card(self, figures: dict[str, float]) -> ModelCard:
        return self.plan.card.replace(metrics={name: figures[name] for name in figures if name != "learning_rate"})

    def _learning_rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))


class _Bar(keras.callbacks.Callback):
    """A progress bar for the batches of each round."""

    def __init__(self, shown: bool | None) -> None:
        super().__init__()
        self.disable = None if shown is None else not shown  # None: only where the output is a terminal

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        from tqdm.auto import tqdm

        title = f"round {epoch + 1}"
        self.bar = tqdm(total=self.params["steps"], desc=title, unit="batch", leave=False, disable=self.disable)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.bar.close()
