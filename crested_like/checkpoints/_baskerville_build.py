"""Builds the network that a Baskerville ``params.json`` describes, from the zoo's blocks and under its layer names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import keras

from crested_like import layers
from crested_like._checks import positive_int
from crested_like._errors import CheckpointError
from crested_like.checkpoints._baskerville_params import FINAL, Block, Network
from crested_like.tl.zoo import _blocks as blocks

GELUS = ("gelu_tanh", "gelu_erf", "gelu_sigmoid")


def build(
    network: Network,
    heads: Iterable[str] | None = None,
    *,
    input_length: int | None = None,
    output_bins: int | None = None,
    position_length: int | None = None,
    activation: str = "gelu_tanh",
) -> keras.Model:
    """The network as a Keras model, with the layer names of the zoo where its layout is one of the zoo's.

    Parameters
    ----------
    network
        What the parameter file says.
    heads
        Names of the heads to build; default all.
    input_length
        In bp, in place of the file's ``seq_length``.
    output_bins
        Bins kept from the centre, in place of the file's crop.
    position_length
        Positions that the transformers' position features are made for, in place of ``seqlen_train``.
    activation
        Which function the file's word ``gelu`` means: ``"gelu_tanh"``, as in Baskerville, ``"gelu_sigmoid"``, as
        in Basenji before 2022, or ``"gelu_erf"``.

    Returns
    -------
    keras.Model
        One output array for one head, a dict by head name for several.

    Raises
    ------
    CheckpointError
        If the blocks do not fit together; names the block.
    """
    length = positive_int("input_length", network.seq_length if input_length is None else input_length)
    trunk = _with_settings(network, output_bins, position_length)
    graph = _Graph(gelu=activation, output_bins=output_bins)
    x = dna = blocks.sequence_input(length, 1)
    for i, block in enumerate(trunk):
        x = graph.add(x, block, _place(trunk, i))
        graph.stored.append(x)
    if output_bins is not None and not graph.cropped:
        x = blocks.crop_to(x, output_bins)
    x = keras.layers.Activation(blocks.ACTIVATIONS[graph.named(network.activation)], name="trunk")(x)
    names = list(network.heads) if heads is None else list(heads)
    outputs = {name: _head(x, network.heads[name], name, graph) for name in names}
    for name, output in outputs.items():
        if output_bins is not None and output.shape[1] != output_bins:
            raise CheckpointError(
                f"output_bins={output_bins} cannot be had: what follows the crop turns it into {output.shape[1]} bins "
                f"of head {name!r}. Leave output_bins out, or cut the output."
            )
    return keras.Model(dna, outputs if len(outputs) > 1 else next(iter(outputs.values())), name="baskerville")


def _with_settings(network: Network, output_bins: int | None, position_length: int | None) -> tuple[Block, ...]:
    """The trunk's blocks, after a check that the settings have something to act on."""
    if output_bins is not None and sum(block.name == "Cropping1D" for block in network.trunk) > 1:
        raise CheckpointError("output_bins cannot replace the crop of this network: it crops in more than one place.")
    if position_length is None:
        return network.trunk
    positive_int("position_length", position_length)
    if not any("seqlen_train" in block.values for block in network.trunk):
        raise CheckpointError("position_length has no effect on this network: it has no transformer. Leave it out.")
    return tuple(
        replace(block, values={**block.values, "seqlen_train": position_length})
        if "seqlen_train" in block.values
        else block
        for block in network.trunk
    )


def _place(trunk: tuple[Block, ...], i: int) -> str:
    """What a single convolution is called: the first the stem, one at the end the final one."""
    if i == 0:
        return "stem"
    return "final" if i == len(trunk) - 1 else ""


def _head(x: Any, head: tuple[Block, ...], name: str, graph: _Graph) -> Any:
    layer = name if name == "head" else f"head_{name}"
    if head[-1].name not in FINAL:
        raise CheckpointError(f"Head {name!r} must end in a block 'final'; it ends in {head[-1].where}.")
    graph = replace(graph, prefix=f"{layer}_", counts=Counter())  # the stored tensors stay shared
    for block in head[:-1]:
        x = graph.add(x, block, "")
    return final(x, head[-1], graph, layer)


@dataclass
class _Graph:
    """What the blocks of one network share while it is built."""

    gelu: str
    output_bins: int | None = None
    cropped: bool = False
    prefix: str = ""
    stored: list[Any] = field(default_factory=list)
    """Tensors that a U-Net stage may take, in order of creation."""
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, x: Any, block: Block, place: str) -> Any:
        """Apply a block; ``place`` names a single convolution."""
        try:
            return BUILDERS[block.name](x, block, self, place)
        except ValueError as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"{block.where} does not fit its input of shape {x.shape[1:]}: {error}") from error

    def number(self, role: str) -> str:
        """The next of the names role_1, role_2, ..."""
        self.counts[role] += 1
        return f"{self.prefix}{role}_{self.counts[role]}"

    def place(self, place: str, block: Block) -> str:
        """Name of a single convolution."""
        return f"{self.prefix}{place}" if place else self.number("conv")

    def named(self, activation: str | None) -> str:
        """Our name of an activation inside the network."""
        return {"gelu": self.gelu, None: "linear"}.get(activation, str(activation))

    def style(self, block: Block, **changes: Any) -> blocks.Style:
        """Style of a convolutional block."""
        return blocks.Style(
            activation=self.named(block["activation"]),
            norm=block["norm_type"],
            norm_momentum=block["bn_momentum"],
            kernel_initializer=block["kernel_initializer"],
            l2_scale=block["l2_scale"],
            **changes,
        )


def conv_dna(x: Any, block: Block, graph: _Graph, place: str) -> Any:
    """Convolution, norm, activation, dropout, pool; or, with ``residual``, a scaled pointwise branch for the middle."""
    name, style = graph.place(place, block), graph.style(block)
    residual, filters = block["residual"], block["filters"] or x.shape[-1]
    bias = block["use_bias"] if block["use_bias"] is not None else style.norm is None and not residual
    separable = block["conv_type"] == "separable"
    x = blocks.convolve(
        x,
        filters,
        block["kernel_size"],
        style,
        f"{name}_conv",
        use_bias=bias,
        stride=block["stride"],
        separable=separable,
    )
    if residual:
        y = blocks.norm_act_conv(x, filters, 1, style, f"{name}_residual")
        y = blocks.drop(y, block["dropout_residual"], f"{name}_residual_dropout")
        y = layers.ChannelScale(name=f"{name}_residual_scale")(y)
        x = keras.layers.Add(name=f"{name}_residual_add")([x, y])
    else:
        x = blocks.normalise(x, style, f"{name}_norm")
        x = blocks.activate(x, style.activation, f"{name}_activation")
    x = blocks.drop(x, block["dropout"], f"{name}_dropout")
    return blocks.max_pool(x, block["pool_size"], f"{name}_pool")


def conv_nac(x: Any, block: Block, graph: _Graph, place: str) -> Any:
    """Norm, activation, convolution, dropout, residual, pool."""
    return _conv_nac(x, block, graph, graph.place(place, block), block["filters"])


def conv_block(x: Any, block: Block, graph: _Graph, place: str) -> Any:
    """Activation, convolution, norm, dropout, residual, activation, pool."""
    return _conv_block(x, block, graph, graph.place(place, block), block["filters"])


def _conv_nac(x: Any, block: Block, graph: _Graph, name: str, filters: int | None) -> Any:
    y = blocks.norm_act_conv(
        x, filters or x.shape[-1], block["kernel_size"], graph.style(block), name, **_convolution(block)
    )
    y = blocks.drop(y, block["dropout"], f"{name}_dropout")
    y = _add_input(x, y, block, name)
    return blocks.max_pool(y, block["pool_size"], f"{name}_pool")


def _conv_block(x: Any, block: Block, graph: _Graph, name: str, filters: int | None) -> Any:
    y = blocks.act_conv_norm(
        x,
        filters or x.shape[-1],
        block["kernel_size"],
        graph.style(block),
        name,
        gamma_initializer=block["norm_gamma"] or "ones",
        **_convolution(block),
    )
    y = blocks.drop(y, block["dropout"], f"{name}_dropout")
    y = _add_input(x, y, block, name)
    y = blocks.activate(y, graph.named(block["activation_end"]), f"{name}_activation_end")
    return blocks.max_pool(y, block["pool_size"], f"{name}_pool")


def _convolution(block: Block) -> dict[str, Any]:
    return {
        "stride": block["stride"],
        "dilation": block["dilation_rate"],
        "separable": block["conv_type"] == "separable",
    }


def _add_input(x: Any, y: Any, block: Block, name: str) -> Any:
    if not block["residual"]:
        return y
    if x.shape != y.shape:
        raise CheckpointError(
            f"{block.where}: a residual needs equal shapes; the input has {x.shape[1:]}, the output {y.shape[1:]}."
        )
    return keras.layers.Add(name=f"{name}_add")([x, y])


def conv_tower(x: Any, block: Block, graph: _Graph, place: str) -> Any:
    """Blocks of growing width, each stored after its pool."""
    inner = _conv_block if block.name == "conv_tower" else _conv_nac
    for filters in _widths(block):
        x = inner(x, block, graph, graph.number("tower"), filters)
        graph.stored.append(x)
    return x


def res_tower(x: Any, block: Block, graph: _Graph, place: str) -> Any:
    """Norm, activation, convolution, further pointwise ones added to it, pool; each repeat stored before its pool."""
    style = graph.style(block)
    for filters in _widths(block):
        name = graph.number("tower")
        first = x = blocks.norm_act_conv(x, filters, block["kernel_size"], style, name, **_convolution(block))
        for n in range(1, block["num_convs"]):
            x = blocks.norm_act_conv(x, filters, 1, style, f"{name}_residual_{n}", **_convolution(block))
        x = blocks.drop(x, block["dropout"], f"{name}_dropout")
        if block["num_convs"] > 1:
            x = layers.ChannelScale(name=f"{name}_scale")(x)
            x = keras.layers.Add(name=f"{name}_add")([first, x])
        graph.stored.append(x)
        x = blocks.max_pool(x, block["pool_size"], f"{name}_pool")
    return x


def _widths(block: Block) -> tuple[int, ...]:
    widths = blocks.tower_widths(
        block["filters_init"],
        last=block["filters_end"],
        factor=block["filters_mult"],
        count=block["repeat"],
        divisible_by=block["divisible_by"],
    )
    if min(widths) < 1:
        raise CheckpointError(f"{block.where}: its widths {widths} must all be at least 1.")
    return widths


def dilated_residual(x: Any, block: Block, graph: _Graph, place: str) -> Any:
    """Narrow convolutions of growing dilation, each added to its input."""
    for rate in blocks.dilations(block["repeat"], block["rate_mult"], rounded=block["round"]):
        x = blocks.dilated_residual(
            x,
            block["filters"],
            rate,
            graph.style(block),
            graph.number("residual"),
            dropout=block["dropout"],
            width=block["kernel_size"],
            separable=block["conv_type"] == "separable",
        )
    return x


def transformer(x: Any, block: Block, graph: _Graph, place: str) -> Any:
    """Transformer blocks with relative positions by central masks."""
    width, heads = x.shape[-1], block["heads"]
    if width % heads:
        raise CheckpointError(f"{block.where}: 'heads' must divide the {width} channels of its input; got {heads}.")

    def attention(name: str) -> keras.layers.Layer:
        return layers.MultiheadAttention(
            heads=heads,
            key_size=block["key_size"],
            value_size=width // heads,
            num_position_features=block["num_position_features"],
            position_length=block["seqlen_train"],
            content_position_bias=block["content_position_bias"],
            qkv_width=block["qkv_width"],
            attention_dropout=block["attention_dropout"],
            position_dropout=block["position_dropout"],
            kernel_initializer=block["mha_initializer"],
            l2_scale=block["mha_l2_scale"],
            name=name,
        )

    style = blocks.TransformerStyle(
        attention=attention,
        dropout=block["dropout"],
        expansion=block["dense_expansion"],
        kernel_initializer=block["kernel_initializer"],
        l2_scale=block["l2_scale"],
    )
    for _ in range(block["repeat"] if block.name == "transformer_tower" else 1):
        x = blocks.transformer_block(x, style, graph.number("transformer"))
    return x


def unet_conv(x: Any, block: Block, graph: _Graph, place: str) -> Any:
    """A U-Net stage on the newest stored tensor of twice the length, the block's own input left out."""
    wanted = 2 * x.shape[1]
    stored = graph.stored[:-1]
    skip = next((tensor for tensor in reversed(stored) if tensor.shape[1] == wanted), None)
    if skip is None:
        lengths = ", ".join(str(tensor.shape[1]) for tensor in stored) or "none"
        raise CheckpointError(
            f"{block.where} needs an earlier output of length {wanted}, twice that of its input; there are: {lengths}. "
            "The input length must be a multiple of the network's total pooling."
        )
    graph.counts["unet"] += 1
    n = graph.counts["unet"]
    x = blocks.upsample_with_skip(
        x,
        skip,
        graph.style(block),
        n,
        width=block["kernel_size"],
        project_low=block["upsample_conv"],
        prefix=graph.prefix,
    )
    return blocks.drop(x, block["dropout"], f"{graph.prefix}upsample_{n}_dropout")


def cropping(x: Any, block: Block, graph: _Graph, place: str) -> Any:
    """Bins off both ends, or as many as leave the wanted ones."""
    graph.counts["crop"] += 1
    name = f"{graph.prefix}crop" if graph.counts["crop"] == 1 else f"{graph.prefix}crop_{graph.counts['crop']}"
    if graph.output_bins is not None and not graph.prefix:
        graph.cropped = True
        return blocks.crop_to(x, graph.output_bins, name)
    given = block["cropping"]
    left, right = given if isinstance(given, list) else (given, given)
    if left + right >= x.shape[1]:
        raise CheckpointError(
            f"{block.where} takes {left} + {right} bins off an input that has {x.shape[1]}; at least one must be left. "
            "With a shorter input_length, also give output_bins."
        )
    return keras.layers.Cropping1D((left, right), name=name)(x) if left or right else x


def dense(x: Any, block: Block, graph: _Graph, place: str) -> Any:
    """A dense layer inside the trunk or a head."""
    return final(x, block, graph, graph.number("dense"))


def final(x: Any, block: Block, graph: _Graph, name: str) -> Any:
    """A dense layer with its activation inside, on every position or on all of them at once."""
    if block.values.get("flatten"):
        x = keras.layers.Reshape((1, x.shape[1] * x.shape[2]), name=f"{name}_flatten")(x)
    style = blocks.Style(kernel_initializer=block["kernel_initializer"], l2_scale=block["l2_scale"])
    # the name goes to Keras here, whose gelu is the exact one
    activation = {"gelu": "gelu_erf", None: "linear"}.get(block["activation"], block["activation"])
    return blocks.track_head(x, block["units"], style, name, activation)


BUILDERS: dict[str, Callable[[Any, Block, _Graph, str], Any]] = {
    "conv_dna": conv_dna,
    "conv_nac": conv_nac,
    "conv_block": conv_block,
    "conv_tower": conv_tower,
    "conv_tower_nac": conv_tower,
    "res_tower": res_tower,
    "dilated_residual": dilated_residual,
    "transformer": transformer,
    "transformer_tower": transformer,
    "unet_conv": unet_conv,
    "Cropping1D": cropping,
    "final": dense,
    "dense": dense,
}
