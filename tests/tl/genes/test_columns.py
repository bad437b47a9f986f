"""Which track a gene takes, by its strand."""

import numpy as np
import pandas as pd
import pytest

from crested_like._tracks import normalise
from crested_like.tl.genes._columns import columns_of

TABLE = normalise(
    pd.DataFrame(
        {
            "identifier": ["a+", "a-", "b", "c-", "c+", "ENC1+", "ENC2-"],
            "description": ["RNA:liver", "RNA:liver", "DNASE:T cell", "RNA:brain", "RNA:brain", "RNA:lung", "RNA:lung"],
            "strand_pair": [1, 0, 2, 4, 3, 6, 5],
        }
    )
)
VALUES = np.arange(10.0, 17.0)  # of the tracks, in the table's order


def by_strand(chosen, table=TABLE, strand="same", largest=False):
    """Labels of the columns, and the values that genes of either strand and of none get."""
    columns = columns_of(np.array(chosen), table, strand)
    return columns.labels, *(columns.of_gene(VALUES[chosen], s, largest=largest).tolist() for s in "+-.")


def test_pairs_are_one_column():
    labels, plus, minus, neither = by_strand(range(7))
    assert labels == ["a", "b", "c", "ENC1+"]  # the last two have no name in common
    assert plus == [10, 12, 14, 15]
    assert minus == [11, 12, 13, 16]
    assert neither == [21, 12, 27, 31]
    assert by_strand(range(7), largest=True)[3] == [11, 12, 14, 16]


def test_one_strand_alone_says_nothing_of_genes_of_the_other():
    labels, plus, minus, neither = by_strand([3, 2, 1, 0])
    assert labels == ["c-", "b", "a"]
    np.testing.assert_array_equal(plus, [np.nan, 12, 10])
    np.testing.assert_array_equal(minus, [13, 12, 11])
    np.testing.assert_array_equal(neither, [np.nan, 12, 21])


def test_every_track_whatever_the_strand():
    for table in (TABLE, None):
        labels, *values = by_strand([4, 2, 0], table, "both")
        assert labels == (["c+", "b", "a+"] if table is TABLE else [4, 2, 0])
        assert values == [[14, 12, 10]] * 3
    assert by_strand([4, 2, 0], None)[0] == [4, 2, 0]


def test_pairs_by_their_names_where_the_table_has_no_pairs():
    labels, plus, minus, _ = by_strand(range(7), TABLE.drop(columns="strand_pair"))
    assert labels == ["a", "b", "c", "ENC1+", "ENC2-"]  # names that have no partner are on no strand
    assert plus == [10, 12, 14, 15, 16]
    assert minus == [11, 12, 13, 15, 16]


@pytest.mark.parametrize("strand", ["same", "both"])
def test_descriptions_go_with_their_columns(strand):
    columns = columns_of(np.array([2, 4, 3]), TABLE, strand)
    assert columns.descriptions == ["DNASE:T cell", "RNA:brain", "RNA:brain"][: 2 if strand == "same" else 3]
