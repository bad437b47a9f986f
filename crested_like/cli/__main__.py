"""``python -m crested_like.cli``, where the command itself is not on the path."""

from crested_like.cli import main

main()
