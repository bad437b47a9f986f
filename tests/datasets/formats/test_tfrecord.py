from __future__ import annotations

import gzip
import re
import zlib

import pytest

from crested_like._errors import DatasetError
from crested_like._tensorflow_bytes import masked_crc
from crested_like.datasets import byte_features, count_records, read_records, write_records

PAYLOADS = [b"first", b"", bytes(range(256)) * 300, b"last"]


@pytest.fixture
def content(writer):
    return b"".join(map(writer.record, PAYLOADS))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train-0.tfr"


def test_checksum_agrees_with_the_published_check_value(writer):
    assert writer.crc32c(b"123456789") == 0xE3069283  # RFC 3720, appendix B.4
    assert masked_crc(b"123456789").to_bytes(4, "little") == writer.masked(b"123456789")


@pytest.mark.parametrize("compression", ["zlib", "gzip", "plain"])
def test_reads_every_compression(path, content, compression, writer):
    path.write_bytes(writer.COMPRESS[compression](content))
    assert list(read_records(path)) == PAYLOADS


@pytest.mark.parametrize("level", [0, 1, 9])
def test_reads_every_zlib_level(path, content, level):
    path.write_bytes(zlib.compress(content, level))
    assert list(read_records(path)) == PAYLOADS


def test_reads_gzip_of_several_members(path, writer):
    path.write_bytes(b"".join(gzip.compress(writer.record(payload)) for payload in PAYLOADS))
    assert list(read_records(path)) == PAYLOADS


@pytest.mark.parametrize("compression", ["zlib", "gzip", "plain"])
def test_an_empty_file_has_no_records(path, compression, writer):
    path.write_bytes(writer.COMPRESS[compression](b""))
    assert list(read_records(path)) == []


def test_plain_record_whose_length_looks_like_a_zlib_mark(path, writer):
    payload = bytes(0x9C78)  # the length's first bytes are 78 9c
    path.write_bytes(writer.record(payload))
    assert list(read_records(path)) == [payload]


@pytest.mark.parametrize("compression", ["zlib", "plain"])
def test_a_truncated_record_names_file_record_and_offset(path, content, compression, writer):
    path.write_bytes(writer.COMPRESS[compression](content[:-3]))
    offset = len(content) - len(writer.record(b"last"))
    with pytest.raises(DatasetError, match=rf"train-0\.tfr: record 3 at byte {offset:,} has 5 of 8 bytes.*truncated"):
        list(read_records(path))


def test_a_truncated_header(path, content):
    path.write_bytes(content + b"\x01\x02")
    with pytest.raises(DatasetError, match=rf"record 4 at byte {len(content):,} ends within its 12-byte header"):
        list(read_records(path))


def test_a_truncated_stream_names_the_file_and_where(path, content):
    whole = zlib.compress(content)
    path.write_bytes(whole[:-7])
    with pytest.raises(DatasetError, match=rf"train-0\.tfr: the .* stream ends early, at byte {len(whole) - 7}"):
        list(read_records(path))


def test_records_before_the_damage_are_still_yielded(path, content):
    path.write_bytes(content[:-3])
    records = read_records(path)
    assert [next(records) for _ in range(3)] == PAYLOADS[:3]


def test_damaged_payload(path, content):
    path.write_bytes(zlib.compress(content.replace(b"first", b"fir5t")))
    with pytest.raises(DatasetError, match=r"record 0 at byte 0 is damaged \(checksum differs\)"):
        list(read_records(path))


def test_damaged_length(path, content):
    path.write_bytes(zlib.compress(b"\x09" + content[1:]))
    with pytest.raises(DatasetError, match="record 0 at byte 0 has a damaged length"):
        list(read_records(path))


def test_damaged_compression(path, content):
    damaged = bytearray(zlib.compress(content))
    damaged[5] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(DatasetError, match=re.escape(str(path))):
        list(read_records(path))


def test_some_other_file(path):
    path.write_text("not a record file at all")
    with pytest.raises(DatasetError, match="no TFRecord"):
        list(read_records(path))


def test_features_in_any_order_and_unknown_fields(writer):
    value = bytes(1000)
    numbers = writer.field(1, b"n") + writer.field(2, writer.field(3, writer.field(1, b"\x05")))
    entry = writer.field(1, b"sequence") + writer.field(2, writer.field(1, writer.field(1, value)))
    noise = b"\x38\x96\x01" + b"\x45" + bytes(4) + b"\x49" + bytes(8)  # fields 7, 8, 9: varint, 32 and 64 bits
    payload = noise + writer.field(1, writer.field(1, numbers) + writer.field(1, entry))
    assert {name: bytes(found) for name, found in byte_features(payload).items()} == {"sequence": value}


@pytest.mark.parametrize("payload", [b"\xff\xff\xff", b"\x0a\x7f\x01", b"\x0b\x01", b"\x0a\x05\x0a\x05abc"])
def test_no_message(payload):
    with pytest.raises(DatasetError, match=r"no tf\.train\.Example"):
        byte_features(payload)


def test_several_values_in_one_feature(writer):
    values = writer.field(1, writer.field(1, b"x") + writer.field(1, b"y"))
    payload = writer.field(1, writer.field(1, writer.field(1, b"target") + writer.field(2, values)))
    with pytest.raises(DatasetError, match="'target' holds 2 byte strings"):
        byte_features(payload)


@pytest.mark.parametrize("piece", [7, 1 << 20])
@pytest.mark.parametrize("compression", ["zlib", "gzip", "plain"])
def test_counts_records_without_reading_them(path, content, compression, writer, piece, monkeypatch):
    monkeypatch.setattr("crested_like.datasets.formats._tfrecord._PIECE", piece)
    path.write_bytes(writer.COMPRESS[compression](content))
    assert count_records(path) == len(PAYLOADS)
    assert list(read_records(path)) == PAYLOADS
    path.write_bytes(writer.COMPRESS[compression](content[:-3]))
    with pytest.raises(DatasetError, match=r"record 3 .* has 5 of 8 bytes"):
        count_records(path)


def test_an_empty_file_counts_nothing(path):
    path.write_bytes(zlib.compress(b""))
    assert count_records(path) == 0


@pytest.mark.parametrize("size", [0, 1, 100, 127, 128, 20_000, 70_000])
def test_written_records_are_byte_for_byte_those_of_the_format(path, writer, size):
    features = {"sequence": bytes(i % 251 for i in range(size)), "target": b"\x01\x02", "umap": b""}
    write_records(path, [features, {"target": b"x"}])
    expected = writer.record(writer.message(features)) + writer.record(writer.message({"target": b"x"}))
    assert zlib.decompress(path.read_bytes()) == expected
    assert path.read_bytes()[0] == 0x78


def test_no_records_make_an_empty_stream(path):
    write_records(path, [])
    assert path.stat().st_size == 8
    assert list(read_records(path)) == []
