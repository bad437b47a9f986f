"""The grammar of ``params.json``: what it accepts, what it fills in, and what it says to the rest."""

import json

import pytest

from crested_like._errors import CheckpointError
from crested_like.checkpoints._baskerville_params import read_params

CONV = {"name": "conv_nac", "filters": 4}
TRANSFORMER = {"name": "transformer", "key_size": 4}
TOWER = {"name": "conv_tower", "filters_init": 4, "filters_mult": 1.5}


def test_fills_in_the_defaults_of_a_block(trunk_of):
    network = read_params(trunk_of({"name": "transformer_tower", "key_size": 8}))
    values = network.trunk[0].values
    assert values["repeat"] == 2
    assert values["heads"] == 1
    assert (values["dropout"], values["attention_dropout"], values["position_dropout"]) == (0.25, 0.05, 0.01)
    assert values["num_position_features"] is None
    assert network.seq_length == 256
    assert list(network.heads) == ["human", "mouse"]


@pytest.mark.parametrize(
    ("block", "key", "want"),
    [
        (CONV, "activation", "gelu"),
        (CONV, "norm_type", "batch"),
        (CONV, "bn_momentum", 0.9),
        (CONV, "l2_scale", 2e-7),
        (CONV, "kernel_initializer", "lecun_normal"),
        ({**CONV, "norm_type": None}, "norm_type", None),
        ({**CONV, "l2_scale": 0}, "l2_scale", 0),
        (TRANSFORMER, "l2_scale", 2e-7),
        (TRANSFORMER, "mha_l2_scale", 0.0),
        (TRANSFORMER, "mha_initializer", "he_normal"),
        ({"name": "final", "units": 2}, "activation", "gelu"),
        ({"name": "Cropping1D"}, "cropping", 1),
    ],
)
def test_inherits_from_the_model(block, key, want, trunk_of):
    assert read_params(trunk_of(block)).trunk[0][key] == want


@pytest.mark.parametrize(
    ("key", "nothing", "default"),
    [("activation", None, "relu"), ("norm_type", None, None), ("bn_momentum", 0, 0.99), ("l2_scale", None, 0.0)],
)
def test_does_not_inherit_what_is_not_true(key, nothing, default, trunk_of):
    """A model's 0 or null is not handed down: the block's own default holds."""
    assert read_params(trunk_of(CONV, **{key: nothing})).trunk[0][key] == default


def test_heads_are_in_natural_order(params):
    final = params["model"].pop("head_human")
    del params["model"]["head_mouse"]
    params["model"].update({"head10": final, "head2": final, "head": final, "head_b": [CONV, final]})
    assert list(read_params(params).heads) == ["head", "2", "10", "b"]


def test_accepts_what_only_training_looks_at(params):
    params["model"].update(augment_rc=True, augment_shift=3, strand_pair=[[1, 0]], verbose=False, target_length=16)
    params["train"] = {"batch_size": 2, "optimizer": "adam", "loss": "poisson_mn", "clipnorm": 2}
    params["transfer"] = {"mode": "full"}
    assert read_params(params).train["clipnorm"] == 2
    params["model"]["augment_shift"] = [0]
    read_params(params)


def test_older_word_for_the_norm(trunk_of):
    content = trunk_of(CONV, {**CONV, "batch_norm": False})
    del content["model"]["norm_type"]
    content["model"]["batch_norm"] = True
    assert [block["norm_type"] for block in read_params(content).trunk] == ["batch", None]


BAD_BLOCKS = [
    ({"name": "conv_nacc"}, r"trunk\[0\] 'conv_nacc': this block is unknown. Did you mean 'conv_nac'"),
    ({"name": "upper_tri"}, r"trunk\[0\] 'upper_tri': this block is not supported"),
    ({"name": "squeeze_excite"}, "not supported"),
    ({"filters": 4}, r"trunk\[0\]: must be an object with the 'name'"),
    ("conv_nac", "must be an object with the 'name'"),
    ({**CONV, "filter": 4}, r"trunk\[0\] 'conv_nac': unknown key 'filter'. Did you mean 'filters'"),
    ({**CONV, "filters": 4.5}, "'filters' must be an integer of at least 1; got 4.5"),
    ({**CONV, "filters": True}, "'filters' must be an integer"),
    ({**CONV, "dropout": 1}, "'dropout' must be a number of at least 0 and below 1; got 1"),
    ({**CONV, "activation": "polyrelu"}, "'activation' must be one of .*'gelu'.*; got \"polyrelu\""),
    ({**CONV, "norm_type": "bathc"}, "'norm_type' must be one of 'batch', 'batch-sync', 'layer', null"),
    ({**CONV, "conv_type": "seperable"}, "'conv_type' must be one of 'standard', 'separable'"),
    ({**CONV, "pool_type": "softmax"}, "'pool_type' must be 'max'"),
    ({**CONV, "kernel_initializer": "he"}, "'kernel_initializer' must be one of"),
    ({**CONV, "residual": 1}, "'residual' must be one of true, false; got 1"),
    ({**CONV, "padding": "same"}, "'padding' is not allowed: only 'same' padding"),
    ({**CONV, "l1_scale": 0.1}, "'l1_scale' is not allowed"),
    ({**CONV, "se": True}, "'se' must be false"),
    ({**CONV, "stride": 2, "dilation_rate": 2}, "cannot have both a stride and a dilation_rate"),
    ({**CONV, "batch_norm": True, "norm_type": "batch"}, "'batch_norm' must be .* not stand beside 'norm_type'"),
    ({"name": "conv_block", "se": True}, "unknown key 'se'"),
    ({"name": "conv_dna", "norm_gamma": "ones"}, "'norm_gamma' is not allowed: it has no effect"),
    ({"name": "conv_dna", "se": True}, "squeeze and excitation is not supported"),
    ({**TOWER, "filters": 4}, "'filters' is not allowed: a tower has filters_init"),
    ({"name": "conv_tower", "filters_init": 4}, "conv_tower': needs filters_end or filters_mult"),
    ({"name": "res_tower", "filters_end": 4}, "the key 'filters_init' is missing"),
    ({"name": "res_tower", "filters_init": 4, "filters_end": 8, "residual": True}, "unknown key 'residual'"),
    ({"name": "dilated_residual"}, "the key 'filters' is missing"),
    ({"name": "dilated_residual", "filters": 2, "rate_mult": 0}, "'rate_mult' must be a number above 0"),
    ({"name": "transformer"}, r"trunk\[0\] 'transformer': the key 'key_size' is missing"),
    ({**TRANSFORMER, "repeat": 2}, "unknown key 'repeat'"),
    ({**TRANSFORMER, "activation": "relu"}, "'activation' is not allowed: a transformer's activation is always ReLU"),
    ({**TRANSFORMER, "norm_type": "batch"}, "always layer norms"),
    ({**TRANSFORMER, "out_size": 4}, "'out_size' is not allowed"),
    ({**TRANSFORMER, "num_position_features": 5}, "'num_position_features' must be even; got 5"),
    ({**TRANSFORMER, "adapter": "houlsby"}, "'adapter' is not allowed: an adapter here is ignored"),
    ({**TRANSFORMER, "latent": 8}, "'latent' is not allowed"),
    ({"name": "transformer_tower", "key_size": 4, "block_type": "swin"}, "'block_type' must be 'transformer'"),
    ({"name": "unet_conv", "stride": 4}, "'stride' must be 2"),
    ({"name": "unet_conv", "filters": 4}, "keeps the width of its input"),
    ({"name": "unet_conv", "upsample": True}, "unknown key 'upsample'. Did you mean 'upsample_conv'"),
    ({"name": "Cropping1D", "cropping": [1, 2, 3]}, "'cropping' must be a number of bins, or a pair"),
    ({"name": "Cropping1D", "activation": "relu"}, "unknown key 'activation'"),
    ({"name": "final"}, "the key 'units' is missing"),
    ({"name": "final", "units": 2, "norm_type": "batch"}, "unknown key 'norm_type'"),
    ({"name": "final", "units": 2, "activation": "selu"}, "'activation' must be one of"),
    ({"name": "dense", "units": 2, "flatten": True}, "unknown key 'flatten'"),
]


@pytest.mark.parametrize(("block", "message"), BAD_BLOCKS)
def test_bad_block(block, message, trunk_of):
    with pytest.raises(CheckpointError, match=message):
        read_params(trunk_of(block))


BAD_MODELS = [
    ({"seqlen_train": 4}, "model: unknown key 'seqlen_train'"),
    ({"norm_type": "sync"}, "model: 'norm_type' must be one of"),
    ({"seq_length": "131072"}, "model: 'seq_length' must be an integer"),
    ({"augment_shift": [3]}, r"'augment_shift' must be an integer of at least 0, or \[0\]"),
    ({"strand_pair": [1, 0]}, "'strand_pair' must be a list with one list"),
    ({"padding": "valid"}, "'padding' is not allowed"),
    ({"l1_scale": 1e-3}, "'l1_scale' is not allowed"),
    ({"diagonal_offset": 2}, "Hi-C heads are not supported"),
    ({"adapter": "houlsby", "adapter_latent": 8}, "adapters are not supported"),
    ({"trunk": []}, "'trunk' must be a list of blocks"),
    ({"trunk": {"name": "conv_nac"}}, "'trunk' must be a list of blocks"),
    ({"heads": {"name": "final", "units": 2, "unit": 2}}, r"heads\[0\] 'final': unknown key 'unit'"),
    ({"head_human": []}, "head_human: is an empty list"),
    ({"headhuman": {"name": "final", "units": 2}}, "two of the heads .* have the same name"),
    ({"bn_momentum": 1.5}, "'bn_momentum' must be a number of at least 0 and below 1, or null"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_MODELS)
def test_bad_model(changes, message, params):
    params["model"].update(changes)
    with pytest.raises(CheckpointError, match=message):
        read_params(params)


@pytest.mark.parametrize("key", ["seq_length", "trunk", "activation"])
def test_missing_key(key, params):
    del params["model"][key]
    with pytest.raises(CheckpointError, match=f"model: the key '{key}' is missing"):
        read_params(params)


def test_no_head(params):
    del params["model"]["head_human"], params["model"]["head_mouse"]
    with pytest.raises(CheckpointError, match="model: has no head"):
        read_params(params)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"loss": "poison"}, "train: 'loss' must be one of 'poisson'"),
        ({"optimizer": "lion"}, "train: 'optimizer' must be one of"),
        ([], "train: is no object"),
    ],
)
def test_bad_training_section(section, message, params):
    params["train"] = section
    with pytest.raises(CheckpointError, match=message):
        read_params(params)


def test_unknown_section(params):
    with pytest.raises(CheckpointError, match="unknown section 'models'; allowed are model, train, transfer"):
        read_params({**params, "models": {}})


def test_all_problems_are_reported_at_once(params):
    params["model"]["verbos"] = True
    params["model"]["trunk"][1]["kernel"] = 5
    params["model"]["trunk"][3]["stride"] = 3
    params["model"]["head_mouse"]["units"] = 0
    with pytest.raises(CheckpointError) as error:
        read_params(params)
    text = str(error.value)
    for part in (
        "model: unknown key 'verbos'",
        "trunk[1] 'res_tower'",
        "trunk[3] 'unet_conv'",
        "head_mouse[0] 'final'",
    ):
        assert part in text
    assert text.count("\n- ") == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "must be a JSON object that holds an object 'model'"),
        ('{"model": 3}', "must be a JSON object that holds an object 'model'"),
        ('{"model": {"seq_length": 1, "seq_length": 2}}', "the key 'seq_length' stands twice"),
        ("\x80", "is not valid JSON"),
    ],
)
def test_bad_file(text, message, tmp_path):
    path = tmp_path / "params.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=message):
        read_params(path)


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        read_params(tmp_path / "params.json")


def test_file_and_dict_are_read_alike(params, tmp_path):
    path = tmp_path / "params.json"
    path.write_text(json.dumps(params))
    assert read_params(path) == read_params(params)
