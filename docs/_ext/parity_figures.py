"""What tests and benchmarks measured of errors, as tables. No Sphinx here, so that it can be tested without."""

import json
from collections import defaultdict

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


def agreement_lines(file):
    """Markdown table of how far backends and forms of a network are apart at full size, and a broken one from it."""
    if not file.exists():
        return ["*No figures were recorded yet: run `nox -s benchmarks`.*"]
    report = json.loads(file.read_text())
    lines = [
        "| Network | Parameters | worst track | median track | a variant, by reuse | a broken one moves |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for name, found in report["models"].items():
        worst = max(row["worst"] for row in found["pairs"])
        median = max(row["median"] for row in found["pairs"])
        moved = ", ".join(f"{what} {by['median']:.1e}" for what, by in found["moved by"].items())
        reused = [row["worst"] for row in found.get("variant", {}).values()]
        variant = f"{max(reused):.1e}" if reused else ""
        lines.append(f"| {name} | {found['parameters']:,} | {worst:.1e} | {median:.1e} | {variant} | {moved} |")
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return [*lines, "", f"Measured with {versions}."]
