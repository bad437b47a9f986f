from __future__ import annotations

from pathlib import Path

import pytest

from crested_like._atomic import atomic_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "scores.vcf.gz"
    with atomic_path(target) as path:
        path.write_text("new")
        assert path.parent == tmp_path
        assert path.name.endswith("scores.vcf.gz")
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(tmp_path) == ["scores.vcf.gz"]


def test_existing_file_is_kept_until_replaced(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with atomic_path(str(target)) as path:
        path.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("folder", [False, True])
def test_failure_leaves_everything_as_it_was(tmp_path, error, folder):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail():
        with atomic_path(target) as path:
            if folder:
                path.mkdir()
                (path / "part").write_text("half")
            else:
                path.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("exists", [False, True])
def test_folder(tmp_path, exists):
    target = tmp_path / "store.zarr"
    if exists:
        target.mkdir()
    with atomic_path(target) as path:
        path.mkdir()
        (path / "part").write_text("x")
    assert (target / "part").read_text() == "x"
    assert names(tmp_path) == ["store.zarr"]


def test_empty_folder_gives_way_to_a_file(tmp_path):
    (tmp_path / "a").mkdir()
    with atomic_path(tmp_path / "a") as path:
        path.write_text("x")
    assert (tmp_path / "a").read_text() == "x"


def test_full_folder_is_refused_before_work_starts(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis").write_text("x")
    with pytest.raises(FileExistsError, match="mine: it is a folder that is not empty"), atomic_path(tmp_path / "mine"):
        pytest.fail("the block must not run")
    assert names(tmp_path / "mine") == ["thesis"]


def test_folder_filled_meanwhile_is_refused(tmp_path):

    def write():
        with atomic_path(tmp_path / "a") as path:
            path.mkdir()
            (tmp_path / "a").mkdir()
            (tmp_path / "a" / "other").touch()

    with pytest.raises(FileExistsError, match="not empty"):
        write()
    assert names(tmp_path) == ["a"]


def test_folder_does_not_replace_a_file(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(NotADirectoryError, match="a file has that name"), atomic_path(tmp_path / "a") as path:
        path.mkdir()
    assert names(tmp_path) == ["a"]


def test_nothing_written(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Nothing was written for .*a\.txt"), atomic_path(tmp_path / "a.txt"):
        pass


def test_missing_folder(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"the folder .*nowhere does not exist"),
        atomic_path(tmp_path / "nowhere" / "a"),
    ):
        pytest.fail("the block must not run")


def test_link_keeps_pointing_to_the_file(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a")
    with atomic_path(tmp_path / "link") as path:
        path.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").read_text() == "new"


def test_suffix_of_the_temporary_name(tmp_path):
    with atomic_path(tmp_path / "a.bigWig", suffix=".bw") as path:
        assert path.suffix == ".bw"
        path.write_text("x")
    assert names(tmp_path) == ["a.bigWig"]


def test_two_writers_do_not_meet(tmp_path):
    with atomic_path(tmp_path / "a") as one, atomic_path(tmp_path / "a") as two:
        one.write_text("one")
        two.write_text("two")
    assert (tmp_path / "a").read_text() == "one"  # the outer one ends last
