"""``{command-help} VERB`` shows what ``crested-like VERB --help`` prints."""

import os
import re
import subprocess
import sys

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

RUN = "from crested_like.cli import main; main()"
PLAIN = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "TYPER_USE_RICH": "0"}


def help_text(verb):
    """Help of a command, or None where this version has no such command."""
    command = [sys.executable, "-c", RUN, *([verb] if verb else []), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **PLAIN})
    if done.returncode:
        return None
    return re.sub(r"\[/?[a-z]+\]", "", done.stdout).replace("Usage: -c", "Usage: crested-like").strip()


class CommandHelp(SphinxDirective):
    optional_arguments = 1

    def run(self):
        text = help_text(*self.arguments) if self.arguments else help_text("")
        if text is None:
            return [nodes.paragraph(text="This version has no such command.")]
        return [nodes.literal_block(text, text, language="text")]


def setup(app):
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
