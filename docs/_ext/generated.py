"""Directives that show what tests and benchmarks wrote, or say how to make it where nothing was written yet.

``{parity-table}`` reads ``docs/parity/<backend>.json``, ``{agreement-table}`` the full-size comparison in
``docs/benchmarks/agreement.json``; ``{measured}`` reads ``docs/benchmarks/*.md``, all of them or
the one that is named.
"""

import re
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from parity_figures import agreement_lines, parity_lines
from sphinx.util.docutils import SphinxDirective


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


class AgreementTable(Generated):
    def run(self):
        return self.parsed(agreement_lines(self.folder("benchmarks") / "agreement.json"))


class Measured(Generated):
    optional_arguments = 1

    def run(self):
        wanted = self.arguments[0] if self.arguments else "*"
        files = sorted(self.folder("benchmarks").glob(f"{wanted}.md"))
        text = "\n\n".join(path.read_text() for path in files) or "*Nothing was measured yet: run `nox -s benchmarks`.*"
        # a page of its own may have headings; inside another page they would break its outline
        text = re.sub(r"^#+ (.*)$", r"**\1**", text, flags=re.MULTILINE)
        return self.parsed(re.sub(r"(!\[[^]]*\]\()(?=\w+\.)", r"\1benchmarks/", text).splitlines())


def setup(app):
    app.add_directive("parity-table", ParityTable)
    app.add_directive("agreement-table", AgreementTable)
    app.add_directive("measured", Measured)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
