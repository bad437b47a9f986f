"""Variants from whatever holds them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from crested_like._errors import VariantError
from crested_like.genome._regions import Region
from crested_like.genome._support import existing_file, listed
from crested_like.genome.variants._lines import is_vcf
from crested_like.genome.variants._strings import parse_variant
from crested_like.genome.variants._tables import of_table, of_text
from crested_like.genome.variants._variant import Variant
from crested_like.genome.variants._vcf import check_alleles, read_vcf


def read_variants(source: Any, region: str | Region | None = None) -> list[Variant]:
    """Variants of a file, of strings or of a table; one an alternative allele, in the order given.

    Parameters
    ----------
    source
        The path of a VCF file (text, gzip, bgzip) or a BCF file, also of old VCF text without a whole header; of a
        table with a header, its columns separated by tabs or commas; or of a text file with one variant a line. Or a
        variant string (see :func:`parse_variant`), a list of them, pairs ``(name, string)`` or a dict of strings by
        name; a table with the columns ``chrom``, ``position`` (counted from 1), ``ref`` and ``alt``; or
        :class:`Variant` objects.
    region
        Only those that overlap this part of a VCF or BCF file, as text or a :class:`~crested_like.genome.Region`. An
        index beside the file is used.

    Returns
    -------
    list of Variant
        Alleles that are no letters, such as ``<DEL>``, are among them.

    Raises
    ------
    VariantError
        If anything is no variant: gives all such lines or items, up to ten.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> [str(variant) for variant in read_variants(["chr1-100-A-G", "chr2:g.5C>T"])]
    ['chr1:100:A:G', 'chr2:5:C:T']
    """
    variants = _read(source, region)
    if not variants:
        what = f" in {os.fspath(source)}" if isinstance(source, str | os.PathLike) else ""
        raise VariantError(f"There are no variants{what}{'' if region is None else f' at {region}'}.")
    return variants


def vcf_path(source: Any) -> Path | None:
    """The path of a VCF or BCF file, if that is what was given."""
    if not isinstance(source, str | os.PathLike):
        return None
    path = Path(source).expanduser()
    return path if path.is_file() and is_vcf(path) else None


def _read(source: Any, region: str | Region | None) -> list[Variant]:
    if isinstance(source, str | os.PathLike) and not _is_string(source):
        path = existing_file(source, "Variant file")
        if is_vcf(path):
            return read_vcf(path, region)
        _refuse_region(region)
        return of_text(path)
    _refuse_region(region)
    if isinstance(source, str):
        return [parse_variant(source)]
    if hasattr(source, "columns"):
        return of_table(source)
    items = [source] if isinstance(source, Variant) else source
    items = list(items.items()) if isinstance(items, Mapping) else items
    if not isinstance(items, Iterable):
        raise TypeError(f"variants must be a path, strings, a table or Variant objects; got {type(source).__name__}.")
    return _of_items(list(items))


def _is_string(source: str | os.PathLike[str]) -> bool:
    """Whether text is a variant rather than the path of a file."""
    if not isinstance(source, str) or Path(source).expanduser().is_file():
        return False
    try:
        parse_variant(source)
    except VariantError:
        # what looks like neither is taken for a variant if a path cannot be meant
        return os.sep not in source and "." not in source.replace(":g.", ":")
    return True


def _refuse_region(region: Any) -> None:
    if region is not None:
        raise ValueError("region= chooses a part of a VCF or BCF file; these variants come from elsewhere.")


def _of_items(items: list[Any]) -> list[Variant]:
    variants, problems = [], []
    for number, item in enumerate(items):
        try:
            variants.append(_of_item(item))
        except VariantError as error:
            problems.append(f"item {number:,}: {error}")
    if problems:
        raise VariantError(f"{len(problems):,} of {len(items):,} items are no variants:\n{listed(problems)}")
    return variants


def _of_item(item: Any) -> Variant:
    if isinstance(item, Variant):
        check_alleles(item)
        return item
    if isinstance(item, str):
        return parse_variant(item)
    if isinstance(item, tuple) and len(item) == 2 and all(isinstance(part, str) for part in item):
        return parse_variant(item[1], item[0])
    raise VariantError(f"a variant is a string, a pair (name, string) or a Variant; got {item!r}")
