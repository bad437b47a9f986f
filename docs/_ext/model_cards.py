"""Directives that write model cards from the registry, so that no fact is typed twice.

``{model-card} NAME`` is a sidebar of facts, ``{model-training} NAME`` the figures of a model of this project, and
``{model-table}`` a table of the models that its options choose.
"""

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

import crested_like as crested
from crested_like.registry import _entry

FILTERS = ("name", "architecture", "species", "genome", "task", "format", "output_bins")

#: What a column of a table is called, and how its cell is written.
COLUMNS = {
    "name": ("Name", lambda card: f"`{card.name}`"),
    "aliases": ("Short name", lambda card: ", ".join(f"`{alias}`" for alias in card.aliases)),
    "species": ("Species", lambda card: card.species or ""),
    "genome": ("Genome", lambda card: card.genome or ""),
    "task": ("Task", lambda card: card.task or ""),
    "architecture": ("Architecture", lambda card: (card.architecture or "").replace("_", " ")),
    "input": ("Input", lambda card: bases(card.input_length)),
    "output": ("Output", lambda card: output(card)),
    "parameters": ("Parameters", lambda card: count(card.parameters)),
    "size": ("Download", lambda card: card.size or ""),
    "format": ("File", lambda card: FORMATS.get(card.format, card.format)),
    "license": ("Licence of the weights", lambda card: card.license or ""),
    "paper": ("Paper", lambda card: reference(card.citation) or ""),
}

FORMATS = {
    "keras": "Keras file",
    "keras-tar": "Keras file in a tar archive",
    "baskerville-h5": "Baskerville HDF5, converted once",
}


def count(number):
    return "" if number is None else f"{number:,}"


def bases(number):
    return "" if number is None else f"{number:,} bp"


def output(card):
    heads = card.heads or {"": {"num_tracks": card.num_tracks}}
    tracks = " and ".join(f"{count(told.get('num_tracks'))} {head}".strip() for head, told in heads.items())
    if not tracks:
        return ""
    return f"{card.output_bins:,} bins of {card.bin_size} bp, {tracks} tracks" if card.bin_size else f"{tracks} values"


def reference(text):
    """A DOI as a link; anything else as it is."""
    return f"[{text}](https://doi.org/{text})" if text and text.startswith("10.") else text


def facts(card):
    """Lines of a card's sidebar: what it is called there, and what is known."""
    told = {
        "Architecture": COLUMNS["architecture"][1](card),
        "Species": card.species,
        "Genome": card.genome,
        "Replicate": count(card.replicate),
        "Task": card.task,
        "Input": bases(card.input_length),
        "Output": output(card),
        "Parameters": count(card.parameters),
        "Target transform": card.transform,
        "File": FORMATS.get(card.format, card.format),
        "Download": card.size,
        "Licence of the weights": card.license,
        "Paper": reference(card.citation),
        "Data": reference(card.data_source),
        "Published at": f"[its publisher's page]({card.page})" if card.page else "",
        "SHA-256": "recorded at the first download" if card.sha256 == "first-use" else f"`{(card.sha256 or '')[:12]}…`",
    }
    return [(name, value) for name, value in told.items() if value]


class RegistryDirective(SphinxDirective):
    """A directive that writes Markdown from the registry."""

    def parsed(self, lines):
        for entry in _entry.all_entries():
            self.env.note_dependency(str(entry.file))
        box = nodes.container()
        self.state.nested_parse(StringList(lines, source=self.env.doc2path(self.env.docname)), self.content_offset, box)
        return box.children

    def missing(self, what):
        return self.parsed([f"*{what} is not in the registry of this version.*"])


class ModelCard(RegistryDirective):
    """Sidebar with everything the registry knows of a model."""

    required_arguments = 1

    def run(self):
        try:
            card = crested.model_card(self.arguments[0])
        except LookupError:
            return self.missing(f"`{self.arguments[0]}`")
        body = self.parsed([f":{name}: {value}" for name, value in facts(card)])
        return [nodes.sidebar("", nodes.title(text=card.name), *body)]


class ModelTraining(RegistryDirective):
    """How good a model of this project is, for each seed it was trained with, and how it got there."""

    required_arguments = 1

    def run(self):
        try:
            seeds = crested.model_card(self.arguments[0]).metrics["seeds"]
        except LookupError:
            return self.missing(f"Training of `{self.arguments[0]}`")
        splits = ("train", "valid", "test")
        lines = [
            f"| seed | {' | '.join(splits)} | median over the tracks, test | best round | minutes | |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for name, run in seeds.items():
            figures = " | ".join(f"{run[f'{split}_pearson_r']:.4f}" for split in splits)
            last = "in the package" if run["shipped"] else ""
            lines.append(
                f"| {name.removeprefix('seed_')} | {figures} | {run['test_pearson_r_median']:.4f} | {run['round']} | "
                f"{run['minutes']:.0f} | {last} |"
            )
        rounds = range(max(len(run["curve"]) for run in seeds.values()))
        lines += ["", "Valid windows after each round:", ""]
        lines += [f"| seed | {' | '.join(str(number + 1) for number in rounds)} |", "|---" * (1 + len(rounds)) + "|"]
        for name, run in seeds.items():
            values = [f"{value:.3f}" for value in run["curve"]]
            values += [""] * (len(rounds) - len(values))
            lines.append(f"| {name.removeprefix('seed_')} | {' | '.join(values)} |")
        return self.parsed(lines)


class ModelTable(RegistryDirective):
    """Table of the models that have the values given as options, separated by commas."""

    option_spec = {  # noqa: RUF012 - docutils' way
        **dict.fromkeys(FILTERS, directives.unchanged_required),
        "columns": directives.unchanged_required,
    }

    def run(self):
        cards = [entry.card for entry in _entry.all_entries() if self.wants(entry.card)]
        if not cards:
            return self.missing("None of these models")
        columns = self.options["columns"].split()
        rows = [[COLUMNS[column][0] for column in columns], ["---"] * len(columns)]
        rows += [[COLUMNS[column][1](card) for column in columns] for card in cards]
        return self.parsed([f"| {' | '.join(row)} |" for row in rows])

    def wants(self, card):
        chosen = {key: self.options[key].replace(",", " ").split() for key in FILTERS if key in self.options}
        return all(str(getattr(card, key)) in values for key, values in chosen.items())


def setup(app):
    app.add_directive("model-card", ModelCard)
    app.add_directive("model-training", ModelTraining)
    app.add_directive("model-table", ModelTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
