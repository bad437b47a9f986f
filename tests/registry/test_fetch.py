from __future__ import annotations

import errno
import io
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import crested_like as crested
from crested_like._errors import FetchError
from crested_like.registry import _download, _fetch
from crested_like.registry._fetch import fetch_file

BIG = bytes(range(256)) * 12_000  # 3 MB: several pieces


def get(name: str) -> tuple[str, list[str]]:
    return crested.get_model(name, progressbar=False)


def test_fetches_unpacks_and_remembers(server, register, make_tarball, digest, cache):
    content = make_tarball()
    register(Tiny={"sources": [server.url("t.tar.gz", content)], "sha256": digest(content), "aliases": ["t"]})
    path, names = get("tINY")
    assert Path(path).read_bytes() == b"the model"
    assert names == ["liver", "brain"]
    assert get("T") == (path, names)
    assert len(server.requests) == 1
    assert not list(cache.rglob("*.part"))
    assert not list(cache.rglob("*.gz"))  # the archive is not kept beside what came out of it


@pytest.mark.parametrize("kind", ["path", "file"])
def test_local_sources(register, make_tarball, digest, tmp_path, kind):
    content = make_tarball()
    file = tmp_path / "t 1.tar.gz"
    file.write_bytes(content)
    register(tiny={"sources": [str(file) if kind == "path" else file.as_uri()], "sha256": digest(content)})
    assert Path(get("tiny")[0]).read_bytes() == b"the model"
    assert file.exists()


def test_plain_keras_and_zip(server, register, digest):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("m.keras", b"zipped")
        archive.writestr("m_output_classes.tsv", "a\n")
        archive.writestr("__MACOSX/._m.keras", b"shadow")
    register(
        zipped={"sources": [server.url("z.zip", stream.getvalue())], "format": "keras-zip"},
        plain={
            "sources": [server.url("p.keras", stream.getvalue())],
            "format": "keras",
            "sha256": digest(stream.getvalue()),
        },
    )
    assert get("zipped")[1] == ["a"]
    assert get("plain") == (get("plain")[0], [])
    assert get("plain")[0].endswith("plain.keras")


def test_wrong_hash_is_refused_and_nothing_kept(server, register, make_tarball, digest, cache):
    register(tiny={"sources": [server.url("t.tar.gz", make_tarball())], "sha256": "1" * 64})
    with pytest.raises(FetchError, match=rf"wrong file: its sha256 is [0-9a-f]{{64}}, it should be {'1' * 64}"):
        get("tiny")
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_truncated_download_is_resumed(server, digest):
    server.break_after = [1_000_000, 500_000]
    path = fetch_file([server.url("big", BIG)], digest(BIG), "big", progressbar=False)
    assert path.read_bytes() == BIG
    first, *later = [headers.get("Range") for _, headers in server.requests]
    assert first is None
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in later]
    piece = _download._PIECE
    assert starts == [1_000_000 // piece * piece, (1_000_000 // piece + 500_000 // piece) * piece]
    assert all(headers.get("If-Range") for _, headers in server.requests[1:])


def test_download_is_resumed_by_a_later_call(server, digest, cache):
    server.break_after = [100_000, 0, 0, 0, 0]
    with pytest.raises(FetchError, match=r"big could not be fetched:\n  http.*attempts\)"):
        fetch_file([server.url("big", BIG)], digest(BIG), "big", progressbar=False)
    server.break_after = []
    assert fetch_file([server.url("big")], digest(BIG), "big", progressbar=False).read_bytes() == BIG
    assert server.requests[-1][1]["Range"] == f"bytes={_download._PIECE}-"


def test_file_that_changed_meanwhile_is_fetched_anew(server, digest):
    server.break_after = [100_000, 0, 0, 0]
    with pytest.raises(FetchError):
        fetch_file([server.url("big", BIG[::-1])], digest(BIG), "big", progressbar=False)
    server.break_after = []
    assert fetch_file([server.url("big", BIG)], digest(BIG), "big", progressbar=False).read_bytes() == BIG


def test_wrong_part_with_the_same_etag_is_fetched_anew(server, digest):
    server.etag = '"same"'
    server.break_after = [100_000, 0, 0, 0]
    with pytest.raises(FetchError):
        fetch_file([server.url("big", BIG[::-1])], digest(BIG), "big", progressbar=False)
    server.break_after = []
    assert fetch_file([server.url("big", BIG)], digest(BIG), "big", progressbar=False).read_bytes() == BIG


def test_server_without_ranges(server, digest):
    server.ranges = False
    server.break_after = [100_000]
    assert fetch_file([server.url("big", BIG)], digest(BIG), "big", progressbar=False).read_bytes() == BIG


def test_complete_part_needs_no_more_bytes(server, digest, cache):
    part = cache / "files" / digest(BIG)[:16] / "big.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(BIG)
    assert fetch_file([server.url("big", BIG)], digest(BIG), "big", progressbar=False).read_bytes() == BIG


def test_transient_status_is_tried_again(server, digest):
    server.statuses = [503, 429]
    assert fetch_file([server.url("big", BIG)], digest(BIG), "big", progressbar=False).read_bytes() == BIG


def test_sources_in_order_and_all_their_errors(server, digest, tmp_path, caplog):
    closed = "http://127.0.0.1:9/big"
    missing, absent = server.url("gone"), str(tmp_path / "absent")
    path = fetch_file([closed, missing, absent, server.url("big", BIG)], digest(BIG), "big", progressbar=False)
    assert path.read_bytes() == BIG
    assert "gone: HTTP 404" in caplog.text
    with pytest.raises(FetchError) as caught:
        fetch_file([closed, missing, absent], "2" * 64, "big", progressbar=False)
    for text in (closed, "Connection refused", "HTTP 404 Not Found", "there is no such file"):
        assert text in str(caught.value)


def test_web_page_instead_of_a_file(server):
    server.content_type = "text/html; charset=utf-8"
    with pytest.raises(FetchError, match="sent a web page instead of the file"):
        fetch_file([server.url("big", b"<html>log in</html>")], "first-use", "big", progressbar=False)


def test_progress_is_shown(server, digest, capsys):
    fetch_file([server.url("big", BIG)], digest(BIG), "the big one")
    assert "the big one: 100%" in capsys.readouterr().err


def test_first_use_is_recorded_said_and_enforced(server, digest, caplog):
    sources = [server.url("big", BIG)]
    path = fetch_file(sources, "first-use", "big", progressbar=False)
    assert f"sha256 {digest(BIG)} was recorded in" in caplog.text
    path.unlink()
    assert fetch_file(sources, "first-use", "big", progressbar=False) == path
    path.unlink()
    server.files["big"] = BIG[::-1]
    with pytest.raises(FetchError, match=rf"it should be {digest(BIG)}.*for 'first-use', delete .*big.sha256.json"):
        fetch_file(sources, "first-use", "big", progressbar=False)


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "..\\evil", "C:/evil"])
def test_archive_that_writes_outside_is_refused(server, register, make_tarball, cache, name):
    register(tiny={"sources": [server.url("t.tar.gz", make_tarball(extra={name: b"x"}))]})
    with pytest.raises(FetchError, match=r"archive of tiny is not safe: its entry '.*evil' leads out of its folder"):
        get("tiny")
    assert not list(cache.parent.rglob("*evil*"))
    assert not list(cache.rglob("*.keras"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_archive_with_links_or_devices_is_refused(server, register, make_tarball, kind):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("m.keras")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    register(tiny={"sources": [server.url("t.tar", stream.getvalue())]})
    with pytest.raises(FetchError, match=r"its entry 'm.keras' is a link or a device"):
        get("tiny")


def test_zip_with_a_link_or_outside_is_refused(server, register):
    for name, mode in (("m.keras", 0o120777), ("../m.keras", 0o100644)):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, "/etc/passwd")
        register(tiny={"sources": [server.url(f"{mode}.zip", stream.getvalue())], "format": "keras-zip"})
        with pytest.raises(FetchError, match=r"not safe"):
            get("tiny")


def test_archive_with_other_contents(server, register, make_tarball):
    register(
        two={"sources": [server.url("two.tar.gz", make_tarball(extra={"other.keras": b""}))]},
        none={"sources": [server.url("none.tar.gz", make_tarball(names=None))]},
        broken={"sources": [server.url("broken.tar.gz", make_tarball()[:-40])]},
    )
    with pytest.raises(FetchError, match=r"exactly one .keras file and one \*_output_classes.tsv; it holds 2 and 1"):
        get("two")
    with pytest.raises(FetchError, match=r"it holds 1 and 0: m.keras"):
        get("none")
    with pytest.raises(FetchError, match=r"archive of broken .* is damaged"):
        get("broken")


def test_full_disk(server, register, make_tarball, monkeypatch):
    register(tiny={"sources": [server.url("t.tar.gz", make_tarball())]})
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(_download.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(FetchError, match=r"The disk that holds the cache .* is full: tiny cannot be stored. Free some"):
        get("tiny")


def test_disk_that_fills_up_while_writing(server, register, make_tarball, monkeypatch):
    register(tiny={"sources": [server.url("t.tar.gz", make_tarball())]})

    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_fetch.os, "replace", no_space)
    with pytest.raises(FetchError, match=r"is full: tiny cannot be stored"):
        get("tiny")
    monkeypatch.undo()


def test_unwritable_cache(server, register, make_tarball, monkeypatch, tmp_path):
    register(tiny={"sources": [server.url("t.tar.gz", make_tarball())]})
    file = tmp_path / "a file"
    file.write_text("")
    for folder in (file, file / "below"):
        monkeypatch.setenv("CRESTED_LIKE_DATA_DIR", str(folder))
        with pytest.raises(FetchError, match=r"The cache .*a file.* cannot be written to.*set CRESTED_LIKE_DATA_DIR"):
            get("tiny")
    monkeypatch.setenv("CRESTED_LIKE_DATA_DIR", str(tmp_path / "other"))

    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refused)
        with pytest.raises(FetchError, match=r"cannot be written to.*Permission denied"):
            get("tiny")


@pytest.mark.slow
def test_two_processes_at_once(server, register, make_tarball, digest, cache):
    content = make_tarball(model=os.urandom(200_000))
    register(tiny={"sources": [server.url("t.tar.gz", content)], "sha256": digest(content)})
    _two_processes(server)


def test_lock_makes_others_wait(server, digest, cache):
    """Two threads stand for two processes: a lock of their own each, on the same file."""
    import concurrent.futures

    server.pause = 0.3
    url = server.url("big", BIG)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(fetch_file, [url], digest(BIG), "big", progressbar=False) for _ in range(3)]
        paths = {job.result() for job in jobs}
    assert len(server.requests) == 1
    assert [path.read_bytes() for path in paths] == [BIG]


def _two_processes(server):
    server.pause = 1
    code = "import crested_like; print(crested_like.get_model('tiny', progressbar=False)[0])"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = [process.communicate(timeout=60)[0].strip() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert paths[0] == paths[1]
    assert Path(paths[0]).stat().st_size == 200_000
    assert len(server.requests) == 1


def test_offline_with_nothing_cached(server, register, make_tarball, monkeypatch, cache):
    register(tiny={"sources": [server.url("t.tar.gz", make_tarball())]})
    monkeypatch.setenv("CRESTED_LIKE_OFFLINE", "1")
    with pytest.raises(FetchError, match=r"tiny is not in the cache \(.*cache\), and CRESTED_LIKE_OFFLINE forbids"):
        get("tiny")
    assert not server.requests
    monkeypatch.setenv("CRESTED_LIKE_OFFLINE", "0")
    path, _ = get("tiny")
    monkeypatch.setenv("CRESTED_LIKE_OFFLINE", "1")
    assert get("tiny")[0] == path


def test_shared_cache_comes_first_and_is_never_written(server, register, make_tarball, monkeypatch, cache, tmp_path):
    register(tiny={"sources": [server.url("t.tar.gz", make_tarball())]})
    shared = tmp_path / "shared"
    monkeypatch.setenv("CRESTED_LIKE_DATA_DIR", str(shared))
    get("tiny")
    before = sorted(shared.rglob("*"))
    monkeypatch.setenv("CRESTED_LIKE_SHARED_CACHE", f"{tmp_path / 'none'}{os.pathsep}{shared}")
    monkeypatch.setenv("CRESTED_LIKE_DATA_DIR", str(cache))
    monkeypatch.setenv("CRESTED_LIKE_OFFLINE", "1")
    path, names = get("tiny")
    assert Path(path).is_relative_to(shared)
    assert names == ["liver", "brain"]
    assert sorted(shared.rglob("*")) == before
    assert not cache.exists()


def test_damaged_cache_is_made_anew(server, register, make_tarball):
    register(tiny={"sources": [server.url("t.tar.gz", make_tarball())]})
    path = Path(get("tiny")[0])
    path.write_bytes(b"cut")
    assert Path(get("tiny")[0]).read_bytes() == b"the model"


def test_packaged_file(register, monkeypatch, tmp_path, digest):
    monkeypatch.setattr(_fetch, "_FILES", tmp_path)
    (tmp_path / "mini.keras").write_bytes(b"PK")
    assert fetch_file(["package:mini.keras"], digest(b"PK"), "mini") == tmp_path / "mini.keras"
    with pytest.raises(FetchError, match=r"mini.keras was changed"):
        fetch_file(["package:mini.keras"], "3" * 64, "mini")
    with pytest.raises(FetchError, match=r"'no.keras' that should come with this package is missing"):
        fetch_file(["package:no.keras"], "first-use", "no")


def test_waiting_is_said(server, digest, caplog):
    import threading

    from crested_like.registry._cache import locked

    url = server.url("big", BIG)
    with caplog.at_level(logging.WARNING), locked(digest(BIG)[:16]):
        thread = threading.Thread(target=fetch_file, args=([url], digest(BIG), "big"), kwargs={"progressbar": False})
        thread.start()
        thread.join(0.5)
        assert not server.requests
    thread.join(10)
    assert "Another process is fetching" in caplog.text
    assert len(server.requests) == 1
