"""Colours, labels and axis units of genome tracks: plain values, no matplotlib."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

INK, MUTED, FAINT = "#22272e", "#666f7a", "#c9ced4"
#: Behind regions that are to stand out.
BAND = "#fdf0c4"
#: Hue of each assay, by the start of a track's description ("CAGE:liver"); told apart by colour-blind readers too.
ASSAYS = {
    "CAGE": "#c2452d",
    "RNA": "#2b6cb0",
    "DNASE": "#13807a",
    "ATAC": "#d98c1a",
    "CHIP": "#7a4ea3",
}
OTHER = "#3d6480"
_SHARE_OF_WHITE = 0.36


@dataclass(frozen=True)
class Label:
    """What is written beside a track."""

    title: str
    detail: str
    color: str
    text_color: str


def label_of(identifier: object, description: str, color: str | None = None) -> Label:
    """Title, second line and colour of a track.

    Examples
    --------
    >>> label_of("CNhs10608+", "CAGE:adult liver")
    Label(title='adult liver', detail='CAGE · CNhs10608+', color='#c2452d', text_color='#c2452d')
    """
    name = str(identifier)
    assay, _, rest = description.partition(":")
    hue = hue_of(assay)
    if hue is not None and rest.strip():
        target, _, sample = rest.partition(":")
        # CHIP:H3K27ac:liver, but CAGE:cell line:Ca9-22
        if assay == "CHIP" and sample:
            rest, assay = sample, f"{assay} {target}"
        title, detail = rest.strip(" ,"), f"{assay} · {name}"
    else:
        title, detail = description or name, name if description and description != name else ""
    chosen = color or hue or OTHER
    fill = lighter(chosen) if color is None and name.endswith("-") else chosen
    return Label(title.replace(":", ": "), detail, fill, chosen)


def hue_of(assay: str) -> str | None:
    """Colour of an assay, None if it is not known: "RNA3" is RNA."""
    return next((color for known, color in ASSAYS.items() if assay.upper().startswith(known)), None)


def lighter(color: str) -> str:
    """Tint of a colour, for the minus strand."""
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    tint = colorsys.hls_to_rgb(hue, lightness + (1 - lightness) * _SHARE_OF_WHITE, saturation * 0.9)
    return "#" + "".join(f"{round(part * 255):02x}" for part in tint)


def colors_for(
    colors: str | Sequence[str] | Mapping[str, str] | None, identifiers: Sequence[object]
) -> list[str | None]:
    """Colour of each track, None where the assay's is to be taken.

    Raises
    ------
    ValueError
        If there are not as many as tracks.
    """
    if colors is None or isinstance(colors, str):
        return [colors] * len(identifiers)
    if isinstance(colors, Mapping):
        return [colors.get(str(name)) for name in identifiers]
    if len(colors) != len(identifiers):
        raise ValueError(f"{len(colors)} colors were given for {len(identifiers)} tracks; give one for each.")
    return list(colors)


def labels_for(
    identifiers: Sequence[object],
    descriptions: Sequence[str],
    labels: Sequence[str] | None = None,
    colors: str | Sequence[str] | Mapping[str, str] | None = None,
) -> list[Label]:
    """What is written beside each track, with ``labels`` in place of descriptions.

    Raises
    ------
    ValueError
        If there are not as many labels or colours as tracks.
    """
    if labels is not None:
        if len(labels) != len(identifiers):
            raise ValueError(f"{len(labels)} labels were given for {len(identifiers)} tracks; give one for each.")
        descriptions = list(labels)
    chosen = colors_for(colors, identifiers)
    return [label_of(*row) for row in zip(identifiers, descriptions, chosen, strict=True)]


def region_text(name: str) -> str:
    """Name of a region; coordinates with separators.

    Examples
    --------
    >>> region_text("chr8:11528913-11594448"), region_text("enhancer_1")
    ('chr8:11,528,913-11,594,448', 'enhancer_1')
    """
    chrom, colon, ends = name.rpartition(":")
    parts = ends.split("-")
    if not colon or len(parts) != 2 or not all(part.isdecimal() for part in parts):
        return name
    return f"{chrom}:{int(parts[0]):,}-{int(parts[1]):,}"


def unit_of(span: int) -> tuple[int, str]:
    """Size in bp and name of the unit that fits an axis of ``span`` bp."""
    if span >= 5_000_000:
        return 1_000_000, "Mb"
    return (1_000, "kb") if span >= 5_000 else (1, "bp")


def tick_text(position: float, unit: int, step: float) -> str:
    """Position in a unit, with as many decimals as neighbouring ticks need to differ.

    Examples
    --------
    >>> tick_text(11_540_000, 1_000, 20_000), tick_text(1_500, 1_000, 500)
    ('11,540', '1.5')
    """
    decimals = next((d for d in range(4) if abs(step / unit - round(step / unit, d)) < 1e-9), 4)
    return f"{position / unit:,.{decimals}f}"


def number_text(value: float) -> str:
    """Number as short as three figures allow.

    Examples
    --------
    >>> number_text(0.012345), number_text(1234.5), number_text(12)
    ('0.0123', '1,234', '12')
    """
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
