"""Directives that show what tests and benchmarks wrote, or say how to make it where nothing was written yet.

``{parity-table}`` reads ``docs/parity/<backend>.json``; ``{measured}`` reads ``docs/benchmarks/*.md``, all of them or
the one that is named.
"""

import json
import re
from collections import defaultdict
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

BACKENDS = ("tensorflow", "jax", "torch", "openvino")


def worst_errors(folder):
    """Greatest error and where it is, by set and backend; and the backends there are."""
    worst = defaultdict(dict)
    files = {path.stem: path for path in sorted(folder.glob("*.json"))}
    order = [name for name in BACKENDS if name in files] + [name for name in files if name not in BACKENDS]
    for backend in order:
        for record in json.loads(files[backend].read_text()):
            row = worst[record["name"]]
            row[backend] = max(row.get(backend, (-1.0, "")), (record["error"], record["quantity"]))
    return dict(worst), order


def parity_lines(folder):
    """Markdown table of the worst error of each set on each backend."""
    worst, backends = worst_errors(folder)
    if not worst:
        return ["*No figures were recorded yet: run `nox -s parity`.*"]
    lines = [f"| Set | {' | '.join(backends)} | worst at |", f"|---|{'---:|' * len(backends)}---|"]
    for name, row in sorted(worst.items()):
        cells = [f"{row[backend][0]:.1e}" if backend in row else "" for backend in backends]
        lines.append(f"| `{name}` | {' | '.join(cells)} | {max(row.values())[1]} |")
    return lines


class Generated(SphinxDirective):
    """A directive that writes Markdown made from files in a folder beside the page."""

    def folder(self, name):
        folder = Path(self.env.srcdir) / name
        for path in sorted(folder.glob("*")):
            self.env.note_dependency(str(path))
        return folder

    def parsed(self, lines):
        box = nodes.container()
        self.state.nested_parse(StringList(lines, source=self.env.doc2path(self.env.docname)), self.content_offset, box)
        return box.children


class ParityTable(Generated):
    def run(self):
        return self.parsed(parity_lines(self.folder("parity")))


class Measured(Generated):
    optional_arguments = 1

    def run(self):
        wanted = self.arguments[0] if self.arguments else "*"
        files = sorted(self.folder("benchmarks").glob(f"{wanted}.md"))
        text = "\n\n".join(path.read_text() for path in files) or "*Nothing was measured yet: run `nox -s benchmarks`.*"
        # a page of its own may have headings; inside another page they would break its outline
        return self.parsed(re.sub(r"^#+ (.*)$", r"**\1**", text, flags=re.MULTILINE).splitlines())


def setup(app):
    app.add_directive("parity-table", ParityTable)
    app.add_directive("measured", Measured)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
