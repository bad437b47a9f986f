"""Checks that the one wheel in a folder holds every data file of the package.

Usage: ``python scripts/check_wheel.py FOLDER``.
"""

import sys
import zipfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "crested_like"
DATA = (".toml", ".keras", ".typed", ".html", ".css", ".js")


def main(folder):
    (wheel,) = folder.glob("*.whl")
    wanted = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.suffix in (".py", *DATA) or path.name.endswith(DATA)
    }
    with zipfile.ZipFile(wheel) as archive:
        missing = sorted(wanted - set(archive.namelist()))
    if missing:
        sys.exit(f"{wheel.name} lacks {', '.join(missing)}")
    print(f"{wheel.name} holds all {len(wanted)} files, {wheel.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
