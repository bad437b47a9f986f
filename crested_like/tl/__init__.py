"""What one does with a model. Lazy: importing ``tl.zoo`` pulls in nothing else."""

from __future__ import annotations

import importlib

from crested_like._backend import require_backend

require_backend()

#: Public name -> module it lives in.
_HOMES = {
    "zoo": None,
    "losses": None,
    "metrics": None,
    "Designs": "design._designs",
    "Geometry": "_geometry",
    "Goal": "design._goals",
    "Readout": "readout._readout",
    "Phase": "finetuning._finetune",
    "Run": "training._fit",
    "RunPlan": "_planning",
    "ablate": "design._ablate",
    "accelerate": "rewriting._accelerate",
    "add_lora": "finetuning._lora",
    "blocks": "finetuning._freeze",
    "finetune": "finetuning._finetune",
    "freeze": "finetuning._freeze",
    "geometry": "_geometry",
    "embed": "_embed",
    "explain": "attribution._explain",
    "evolve": "design._evolve",
    "evaluate": "training._evaluate",
    "fit": "training._fit",
    "occlusion": "attribution._ism",
    "predict": "_predict",
    "insert_motifs": "design._insert",
    "intervals": "segmentation._segment",
    "ism": "attribution._ism",
    "load_lora": "finetuning._lora_file",
    "marginalize": "design._marginalize",
    "merge_lora": "finetuning._lora",
    "predict_genes": "genes._predict_genes",
    "plan_regions": "_planning",
    "predict_regions": "regions._predict_regions",
    "replace_head": "trunks._replace_head",
    "save_lora": "finetuning._lora_file",
    "score_variants": "variants._score",
    "segment": "segmentation._segment",
    "to_modisco": "attribution._modisco",
    "unmerge_lora": "finetuning._lora",
    "untransform": "_untransform",
    "with_input_length": "_lengths",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'crested_like.tl' has no attribute {name!r}")
    home = _HOMES[name]
    if home is None:
        return importlib.import_module(f"crested_like.tl.{name}")
    return getattr(importlib.import_module(f"crested_like.tl.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
