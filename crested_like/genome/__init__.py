"""Genomes, regions, one-hot DNA, token ids and the files they come from.

Importing this needs NumPy only; pysam and pybigtools are imported by what reads or writes their files.
"""

from __future__ import annotations

from crested_like.genome._annotations import write_intervals
from crested_like.genome._bigwig import read_bigwig, write_bigwig
from crested_like.genome._fasta import Genome, register_genome, registered_genome, resolve_genome
from crested_like.genome._files import read_fasta
from crested_like.genome._genes import Gene, find_genes, read_genes
from crested_like.genome._gtf import Transcript, longest_of_each_gene, read_gtf
from crested_like.genome._motif_sites import Site, find_motifs
from crested_like.genome._motifs import Motif, motifs_of, read_meme
from crested_like.genome._onehot import (
    check_one_hot,
    one_hot,
    one_hot_batch,
    reverse_complement,
    reverse_complement_one_hot,
    shift_one_hot,
)
from crested_like.genome._random import random_dna
from crested_like.genome._regions import Region, Regions, check_regions, parse_region, read_bed, regions_of
from crested_like.genome._shuffle import shuffle_dna
from crested_like.genome._tokens import Tokenizer, one_hot_of_tokens, tokenizer
from crested_like.genome.variants import PlacedVariant, Variant, parse_variant, place_variants, read_variants

__all__ = [
    "Genome",
    "register_genome",
    "registered_genome",
    "resolve_genome",
    "Region",
    "Regions",
    "check_regions",
    "parse_region",
    "read_bed",
    "regions_of",
    "check_one_hot",
    "one_hot",
    "one_hot_batch",
    "reverse_complement",
    "reverse_complement_one_hot",
    "shift_one_hot",
    "shuffle_dna",
    "random_dna",
    "Motif",
    "motifs_of",
    "read_meme",
    "Site",
    "find_motifs",
    "Tokenizer",
    "tokenizer",
    "one_hot_of_tokens",
    "read_fasta",
    "Transcript",
    "read_gtf",
    "longest_of_each_gene",
    "Gene",
    "read_genes",
    "find_genes",
    "Variant",
    "read_variants",
    "parse_variant",
    "place_variants",
    "PlacedVariant",
    "read_bigwig",
    "write_bigwig",
    "write_intervals",
]
