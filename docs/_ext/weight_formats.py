"""``{weight-formats}``: which published weights are read and written, from the maps that do it."""

from generated import Generated

from crested_like.checkpoints import FORMATS, WRITERS
from crested_like.checkpoints._baskerville_published import ARCHITECTURES
from crested_like.checkpoints._maps import maps_of

#: Format of a file, the map of its names, and what the two are called.
MAPPED = (
    ("borzoi-pytorch", "borzoi_pytorch", ("safetensors", "torch")),
    ("enformer-pytorch", "enformer_pytorch", ("safetensors", "torch")),
    ("MultiMolecule", "multimolecule", ("safetensors", "torch")),
    ("Enformer's Sonnet checkpoint", "enformer_sonnet", ("sonnet",)),
    ("Nucleotide Transformer, segmentation (Haiku)", "haiku", ("haiku-joblib",)),
)
NAMES = {
    "basenji2": "Basenji2",
    "borzoi": "Borzoi",
    "borzoi_prime": "Borzoi Prime",
    "enformer": "Enformer",
    "flashzoi": "Flashzoi",
    "nucleotide_transformer": "Nucleotide Transformer",
    "segment_borzoi": "SegmentBorzoi",
    "segment_enformer": "SegmentEnformer",
    "segment_nt": "SegmentNT",
}


def row(package, architectures, forms, written):
    suffixes = ", ".join(f"`*{suffix}`" for form in forms for suffix in FORMATS[form].suffixes)
    networks = ", ".join(sorted(NAMES[name] for name in architectures))
    return f"| {package} | {networks} | {suffixes} | yes | {f'`{written}`' if written in WRITERS else 'no'} |"


class WeightFormats(Generated):
    def run(self):
        lines = ["| weights of | networks | files | read | written as |", "|---|---|---|---|---|"]
        lines.append(row("Baskerville, Basenji", ARCHITECTURES, ["baskerville-h5"], "baskerville-h5"))
        for package, maps, forms in MAPPED:
            lines.append(row(package, [names.architecture for names in maps_of(maps)], forms, package))
        lines.append(row("CREsted, rebuilt", [names.architecture for names in maps_of("crested")], ["keras"], None))
        lines.append("| CREsted, as it is | all of its networks | `*.keras` | yes | no |")
        return self.parsed(lines)


def setup(app):
    app.add_directive("weight-formats", WeightFormats)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
