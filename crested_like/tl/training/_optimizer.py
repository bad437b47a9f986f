"""What is minimised, and how: losses by name, the course of the learning rate, optimisers."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from crested_like._checks import did_you_mean
from crested_like._errors import RecipeError
from crested_like.layers._register import serializable
from crested_like.tl import losses
from crested_like.tl.training._config import Recipe

#: Losses by the name that a recipe gives them.
LOSSES: dict[str, type[keras.losses.Loss]] = {
    "poisson": keras.losses.Poisson,
    **{getattr(losses, name).default_name: getattr(losses, name) for name in losses.__all__},
    "mean_squared_error": keras.losses.MeanSquaredError,
    "mean_absolute_error": keras.losses.MeanAbsoluteError,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
}
#: Arguments that every loss has, and that are not for a recipe to set.
_COMMON = {"self", "reduction", "name", "dtype", "kwargs"}


def loss_of(table: Mapping[str, Any]) -> keras.losses.Loss:
    """The loss that ``[loss]`` names, with its arguments.

    Raises
    ------
    RecipeError
        If there is no such loss, or it has no such argument.
    """
    settings = dict(table)
    name = settings.pop("name", None)
    if name not in LOSSES:
        raise RecipeError(
            f"loss.name: there is no loss {name!r}.{did_you_mean(str(name), LOSSES)} There are {', '.join(LOSSES)}."
        )
    known = _arguments(LOSSES[name])
    for key in settings:
        if key not in known:
            raise RecipeError(
                f"loss.{key}: {name!r} has no such argument.{did_you_mean(key, known)} "
                f"It has {', '.join(known) or 'none'}."
            )
    try:
        return LOSSES[name](**settings)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"loss: {error}") from error


class PerExample(keras.losses.Loss):
    """A loss as one value an example: its mean is the same, and weights of examples fit it, whatever it gives."""

    def __init__(self, loss: keras.losses.Loss) -> None:
        super().__init__(name=loss.name, reduction="sum_over_batch_size", dtype=loss.dtype)
        self.loss = loss

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each example, ``(batch,)``."""
        values = self.loss.call(y_true, y_pred)
        return ops.mean(ops.reshape(values, (ops.shape(values)[0], -1)), axis=-1)


def _arguments(kind: type) -> list[str]:
    """Names of all arguments of a class, those that it hands on to its bases too."""
    found: list[str] = []
    for base in kind.__mro__:
        parameters = inspect.signature(base.__init__).parameters if "__init__" in vars(base) else {}
        found += [name for name in parameters if name not in (*_COMMON, *found)]
        if parameters and "kwargs" not in parameters:
            break
    return found


@serializable("WarmUp")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    r"""A learning rate that rises in a line, and then stays or falls as half a cosine.

    At update :math:`u` it is the peak times :math:`s + (1 - s) u / w` before the end of the warm-up, :math:`w` updates,
    and 1 afterwards; or, falling over :math:`d` updates, :math:`f + (1 - f) (1 + \cos(\pi \min(1, (u - w) / d))) / 2`.

    Parameters
    ----------
    peak
        The highest rate.
    warmup
        Updates over which it rises.
    start
        Share of the peak at update 0.
    decay_steps
        Updates over which it falls; None lets it stay.
    final
        Share of the peak at the end of that.
    accumulate
        Batches of an update: Keras counts batches.

    Examples
    --------
    >>> rate = WarmUp(6e-5, warmup=20_000)
    >>> [round(float(rate(step)), 8) for step in (0, 10_000, 20_000, 90_000)]
    [0.0, 3e-05, 6e-05, 6e-05]
    """

    def __init__(
        self,
        peak: float,
        warmup: int = 0,
        start: float = 0.0,
        decay_steps: int | None = None,
        final: float = 0.0,
        accumulate: int = 1,
    ):
        self.peak, self.warmup, self.start = peak, warmup, start
        self.decay_steps, self.final, self.accumulate = decay_steps, final, accumulate

    def __call__(self, step: Any) -> Any:
        """Rate at a batch, counted from 0."""
        update = ops.floor(ops.cast(ops.convert_to_tensor(step), "float32") / self.accumulate)
        share = self._after(update - self.warmup)
        if self.warmup:
            rising = self.start + (1.0 - self.start) * update / self.warmup
            share = ops.where(update < self.warmup, rising, share)
        return self.peak * share

    def _after(self, updates: Any) -> Any:
        """Share of the peak so many updates after the warm-up."""
        if self.decay_steps is None:
            return ops.ones_like(updates)
        progress = ops.clip(updates / self.decay_steps, 0.0, 1.0)
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + ops.cos(math.pi * progress))

    def get_config(self) -> dict:
        """Every argument of the constructor."""
        return {
            "peak": self.peak,
            "warmup": self.warmup,
            "start": self.start,
            "decay_steps": self.decay_steps,
            "final": self.final,
            "accumulate": self.accumulate,
        }


def schedule_of(recipe: Recipe, steps: int) -> WarmUp:
    """The learning rate of a run whose rounds have so many batches."""
    table, training = recipe.schedule, recipe.training
    decay_steps = None
    if table.decay == "cosine":
        decay_steps = table.decay_steps or training.rounds * steps // training.accumulate - table.warmup
        if decay_steps < 1:
            raise RecipeError(
                f"schedule.warmup: {table.warmup:,} updates of warm-up leave none of the run's "
                f"{training.rounds * steps // training.accumulate:,} to decay over."
            )
    return WarmUp(
        recipe.optimizer.learning_rate,
        warmup=table.warmup,
        start=table.start,
        decay_steps=decay_steps,
        final=table.final,
        accumulate=training.accumulate,
    )


def optimizer_of(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    """The optimiser of a run whose rounds have so many batches.

    With ``accumulate`` gradients are clipped after their mean was taken, as those of one large batch would be. Keras
    moves the average of the weights at every batch, so its momentum is the root that gives ``ema`` at an update.
    """
    table, training = recipe.optimizer, recipe.training
    accumulate = training.accumulate if training.accumulate > 1 else None
    common = {
        "learning_rate": schedule_of(recipe, steps),
        "clipnorm": table.clip_norm,
        "global_clipnorm": table.clip_global_norm,
        "weight_decay": table.weight_decay,
        "gradient_accumulation_steps": accumulate,
    }
    if training.ema is not None:
        common |= {"use_ema": True, "ema_momentum": training.ema ** (1 / training.accumulate)}
    if table.name == "sgd":
        made = keras.optimizers.SGD(momentum=table.momentum, nesterov=table.nesterov, **common)
    else:
        kind = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}[table.name]
        made = kind(beta_1=table.beta_1, beta_2=table.beta_2, epsilon=table.epsilon, **common)
    if table.weight_decay is not None:
        made.exclude_from_weight_decay(var_names=[re.escape(name) for name in table.no_weight_decay])
    return keras.optimizers.LossScaleOptimizer(made) if training.precision == "mixed_float16" else made
