"""`~` in paths, and a user without a home folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dropexp.errors import DataError, PathError
from dropexp.home_folder import expanded, provide_home, temporary_home


@pytest.fixture
def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for temporary files of a user without a home folder."""

    def unknown(*args: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(Path, "home", unknown)
    return tmp_path


def test_a_user_without_a_home_folder_gets_a_private_one(no_home: Path) -> None:
    provide_home()
    home = Path(os.environ["HOME"])
    assert home.parent == no_home and home == temporary_home()
    if os.name != "nt":
        assert home.stat().st_mode & 0o777 == 0o700


def test_a_home_folder_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    provide_home()
    assert os.environ["HOME"] == str(tmp_path)


def test_a_path_in_the_home_folder_of_a_user_without_one_is_an_error(no_home: Path) -> None:
    provide_home()
    with pytest.raises(PathError, match="~/runs: there is no home folder"):
        expanded("~/runs")
    assert expanded("runs/~") == Path("runs/~")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such user database")
def test_a_user_without_a_home_folder_can_name_that_of_another_user(no_home: Path) -> None:
    import pwd

    provide_home()
    user = pwd.getpwuid(os.getuid())
    assert expanded(f"~{user.pw_name}/runs") == Path(user.pw_dir) / "runs"


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_temporary_home_that_others_can_change_is_not_used(no_home: Path) -> None:
    temporary_home().chmod(0o777)
    with pytest.raises(DataError, match="set HOME or XDG_CACHE_HOME"):
        temporary_home()
    provide_home()
    assert os.environ["HOME"] == ""
