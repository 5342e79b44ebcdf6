"""Find, verify and download the four files."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from helpers.synthetic import write_synthetic

from dropexp.data import dataset_files
from dropexp.data.cache import cache_dir
from dropexp.data.dataset_files import CHECKSUMS, MD5, MIRRORS
from dropexp.data.download import LARGEST
from dropexp.errors import DataError

IMAGES, LABELS = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
UNREACHABLE = "http://127.0.0.1:9/"  # the discard port: nothing listens there


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test an empty cache and working folder, and no internet."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("DROPEXP_DATA", raising=False)
    monkeypatch.setattr(dataset_files, "MIRRORS", (UNREACHABLE,))
    monkeypatch.setattr("dropexp.data.download.PAUSE", 0.01)


@pytest.fixture
def hashes(tmp_path: Path) -> dict[str, Any]:
    """Write a synthetic set to tmp_path/served and return its hashes, as arguments of `fetch`."""
    checksums = write_synthetic(tmp_path / "served", train=60, test=20)
    raw = tmp_path / "served" / "FashionMNIST" / "raw"
    md5 = {name: hashlib.md5((raw / f"{name}.gz").read_bytes()).hexdigest() for name in checksums}
    return {"checksums": checksums, "md5": md5}


@contextmanager
def mirror(raw: Path, fault: str = "none", before: Callable[[str], object] = lambda file: None) -> Iterator[str]:
    """Serve the files in `raw` and yield the address; `before` is called with the name of each requested file.

    Faults: "404" has no file; "no size" sends no Content-Length; "503" is busy at the first request; "cut"
    and "stall" send half of the training images, "corrupt" flips a byte of them.
    """
    finished, busy = threading.Event(), threading.Event()

    class Mirror(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = raw / PurePosixPath(self.path).name
            before(path.name)
            if fault == "503" and not busy.is_set():
                busy.set()
                self.send_error(503)
                return
            if fault == "404" or not path.is_file():
                self.send_error(404)
                return
            body = bytearray(path.read_bytes())
            faulty = path.name.startswith(IMAGES)
            if faulty and fault == "corrupt":
                body[len(body) // 2] ^= 0xFF
            self.send_response(200)
            if fault != "no size":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if faulty and fault in ("cut", "stall"):
                del body[len(body) // 2 :]
            self.wfile.write(body)
            if faulty and fault == "stall":
                self.wfile.flush()
                finished.wait(60)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        finished.set()
        server.shutdown()


def files_in(root: Path) -> dict[str, bytes]:
    paths = (path for path in root.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def unpack(root: Path) -> None:
    for packed in list((root / "FashionMNIST" / "raw").glob("*.gz")):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()


# Constants


def test_url_and_md5_sums_equal_torchvisions() -> None:
    from torchvision.datasets import FashionMNIST

    assert FashionMNIST.mirrors == [MIRRORS[0]]
    assert {f"{name}.gz": md5 for name, md5 in MD5.items()} == dict(FashionMNIST.resources)
    assert list(CHECKSUMS) == list(MD5)


def test_real_files_have_the_known_checksums(real_root: Path) -> None:
    assert list(dataset_files.read(real_root)) == list(CHECKSUMS)


def test_import_loads_no_heavy_module() -> None:
    code = "import dropexp.data.dataset_files, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {"torch", "torchvision", "numpy", "pandas", "rich", "urllib.request"}.isdisjoint(loaded)


# Cache


def test_cache_is_in_the_platforms_folder_unless_xdg_cache_home_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_dir() == tmp_path / "cache" / "dropexp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    if sys.platform == "win32":
        assert cache_dir() == Path(os.environ["LOCALAPPDATA"]) / "dropexp"
    elif sys.platform == "darwin":
        assert cache_dir() == Path.home() / "Library" / "Caches" / "dropexp"
    else:
        assert cache_dir() == Path.home() / ".cache" / "dropexp"


def test_without_a_home_folder_the_cache_is_a_temporary_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **options: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("platformdirs.user_cache_path", unknown)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert cache_dir().parent == tmp_path


# Find


def test_data_is_looked_for_in_option_variable_working_folder_and_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dataset_files.find() is None
    write_synthetic(cache_dir())
    assert dataset_files.find() == cache_dir()
    write_synthetic(Path("data"))
    assert dataset_files.find() == Path("data")
    write_synthetic(tmp_path / "variable")
    monkeypatch.setenv("DROPEXP_DATA", str(tmp_path / "variable"))
    assert dataset_files.find() == tmp_path / "variable"
    write_synthetic(tmp_path / "option")
    assert dataset_files.find(tmp_path / "option") == tmp_path / "option"


def test_files_are_found_packed_or_unpacked_in_torchvisions_folders_or_directly(tmp_path: Path) -> None:
    checksums = write_synthetic(tmp_path / "a")
    raw = tmp_path / "a" / "FashionMNIST" / "raw"
    for named in (tmp_path / "a", tmp_path / "a" / "FashionMNIST", raw):
        dataset_files.read(dataset_files.find(named) or Path(), checksums)
    unpack(tmp_path / "a")
    assert dataset_files.source(tmp_path / "a", IMAGES) == raw / IMAGES
    dataset_files.read(tmp_path / "a", checksums)


def test_a_named_folder_must_contain_all_four_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_synthetic(cache_dir())
    write_synthetic(tmp_path / "part")
    (tmp_path / "part" / "FashionMNIST" / "raw" / f"{LABELS}.gz").unlink()
    with pytest.raises(DataError, match=rf"--data-dir names .*part, but .*raw lacks {LABELS} of"):
        dataset_files.find(tmp_path / "part")
    monkeypatch.setenv("DROPEXP_DATA", str(tmp_path / "absent"))
    with pytest.raises(DataError, match=r"DROPEXP_DATA names .*absent"):
        dataset_files.find()


def test_a_working_folder_with_only_some_files_is_skipped() -> None:
    write_synthetic(Path("data"))
    (Path("data") / "FashionMNIST" / "raw" / f"{LABELS}.gz").unlink()
    assert dataset_files.find() is None


# Verify


def test_every_wrong_file_is_reported(tmp_path: Path) -> None:
    checksums = write_synthetic(tmp_path / "a") | {IMAGES: "0" * 64, LABELS: "1" * 64}
    with pytest.raises(DataError) as error:
        dataset_files.read(tmp_path / "a", checksums)
    raw = tmp_path / "a" / "FashionMNIST" / "raw"
    assert f"{raw / IMAGES}.gz: the SHA-256 of its contents is" in str(error.value)
    assert f"{raw / LABELS}.gz: the SHA-256 of its contents is" in str(error.value)
    assert "train-labels" not in str(error.value)
    assert "Delete them and run `dropexp data fetch`" in str(error.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (gzip.compress(bytes(10_000))[:-12], "ended before"),
        (gzip.compress(bytes(10_000))[:14] + b"\xff" * 20, "invalid|CRC|Error -3"),
        (b"<html>Not found</html>", "Not a gzipped file"),
        (b"", "SHA-256"),
        (gzip.compress(bytes(LARGEST + 1)), "more than 47,040,016 bytes"),
    ],
    ids=["cut", "corrupted", "not gzip", "empty", "bomb"],
)
def test_a_corrupted_file_is_reported_with_the_reason(tmp_path: Path, content: bytes, why: str) -> None:
    checksums = write_synthetic(tmp_path)
    packed = tmp_path / "FashionMNIST" / "raw" / f"{IMAGES}.gz"
    packed.write_bytes(content)
    with pytest.raises(DataError, match=f"{IMAGES}.gz: .*({why})"):
        dataset_files.read(tmp_path, checksums)


def test_a_packed_file_larger_than_any_unpacked_one_is_not_read(tmp_path: Path) -> None:
    checksums = write_synthetic(tmp_path)
    with open(tmp_path / "FashionMNIST" / "raw" / f"{IMAGES}.gz", "wb") as packed:
        packed.write(gzip.compress(b"") * 100)  # members that unpack to nothing: gzip reads on
        packed.truncate(1 << 40)
    with pytest.raises(DataError, match=f"{IMAGES}.gz: it has more than 47,040,016 bytes"):
        dataset_files.read(tmp_path, checksums)


def test_a_partly_unpacked_file_beside_the_packed_one_is_reported(tmp_path: Path) -> None:
    checksums = write_synthetic(tmp_path)
    unpacked = tmp_path / "FashionMNIST" / "raw" / IMAGES
    unpacked.write_bytes(gzip.decompress(unpacked.with_name(f"{IMAGES}.gz").read_bytes())[:1000])
    with pytest.raises(DataError, match=f"{IMAGES}: the SHA-256"):
        dataset_files.read(tmp_path, checksums)


def test_wrong_files_are_not_sent_to_other_machines(tmp_path: Path) -> None:
    checksums = write_synthetic(tmp_path)
    raw = tmp_path / "FashionMNIST" / "raw"
    assert dataset_files.read_packed(tmp_path, checksums)[LABELS] == (raw / f"{LABELS}.gz").read_bytes()
    (raw / f"{LABELS}.gz").write_bytes(gzip.compress(b"other labels", mtime=0))
    with pytest.raises(DataError, match=f"{LABELS}.gz: the SHA-256"):
        dataset_files.read_packed(tmp_path, checksums)


# Download


@pytest.mark.parametrize("end", ["/", ""])
def test_downloaded_files_are_stored_and_progress_is_reported(tmp_path: Path, hashes: dict[str, Any], end: str) -> None:
    progress: dict[str, list[tuple[int, int]]] = {}
    raw = tmp_path / "served" / "FashionMNIST" / "raw"
    with mirror(raw) as url:
        root = dataset_files.fetch(
            url.rstrip("/") + end,
            lambda name, size, total: progress.setdefault(name, []).append((size, total)),
            **hashes,
        )
    assert root == dataset_files.find() == tmp_path / "cache" / "dropexp"
    assert files_in(root) == files_in(tmp_path / "served")
    assert {name: sizes[-1] for name, sizes in progress.items()} == {
        path.name: (path.stat().st_size, path.stat().st_size) for path in raw.iterdir()
    }


def test_progress_of_a_file_of_unknown_size_ends_with_its_size(tmp_path: Path, hashes: dict[str, Any]) -> None:
    raw, last = tmp_path / "served" / "FashionMNIST" / "raw", {}
    with mirror(raw, "no size") as url:
        dataset_files.fetch(url, lambda name, done, total: last.update({name: (done, total)}), **hashes)
    sizes = {path.name: path.stat().st_size for path in raw.iterdir()}
    assert last == {name: (size, size) for name, size in sizes.items()}


def test_a_mirror_can_be_a_folder(tmp_path: Path, hashes: dict[str, Any]) -> None:
    root = dataset_files.fetch((tmp_path / "served" / "FashionMNIST" / "raw").as_uri(), **hashes)
    dataset_files.read(root, hashes["checksums"])


FAULTS = {
    "cut": r"the connection was cut after [\d,]+ of [\d,]+ bytes",
    "corrupt": "it has other contents: MD5",
    "stall": "no data for 0.3 s",
    "404": "HTTP Error 404: Not Found",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_mirror_is_reported_and_nothing_is_stored(tmp_path: Path, hashes: dict[str, Any], fault: str) -> None:
    start = time.monotonic()
    with (
        mirror(tmp_path / "served" / "FashionMNIST" / "raw", fault) as url,
        pytest.raises(DataError, match=f"{url}: {IMAGES}.gz: {FAULTS[fault]}") as error,
    ):
        dataset_files.fetch(url, timeout=0.3, **hashes)
    assert time.monotonic() - start < 10  # the default timeout is 20 s
    assert f"{UNREACHABLE}: {IMAGES}.gz: " in str(error.value)
    assert dataset_files.find() is None
    assert files_in(tmp_path / "cache") == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_mirror_is_tried_after_a_failure(
    tmp_path: Path, hashes: dict[str, Any], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "served" / "FashionMNIST" / "raw"
    with mirror(raw, fault) as bad, mirror(raw) as good:
        monkeypatch.setattr(dataset_files, "MIRRORS", (good,))
        root = dataset_files.fetch(bad, timeout=0.3, **hashes)
    assert files_in(root) == files_in(tmp_path / "served")


def test_a_request_to_a_mirror_that_is_busy_once_is_repeated(tmp_path: Path, hashes: dict[str, Any]) -> None:
    requests: list[str] = []
    raw = tmp_path / "served" / "FashionMNIST" / "raw"
    with mirror(raw, "503", requests.append) as url:
        root = dataset_files.fetch(url, **hashes)
    assert files_in(root) == files_in(tmp_path / "served")
    assert len(requests) == 5 and requests[0] == requests[1]


def test_without_an_address_the_second_mirror_is_tried(
    tmp_path: Path, hashes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with mirror(tmp_path / "served" / "FashionMNIST" / "raw") as good:
        monkeypatch.setattr(dataset_files, "MIRRORS", (UNREACHABLE, good))
        assert files_in(dataset_files.fetch(**hashes)) == files_in(tmp_path / "served")


def test_files_are_downloaded_to_a_folder_that_lacks_some(tmp_path: Path, hashes: dict[str, Any]) -> None:
    raw = tmp_path / "served" / "FashionMNIST" / "raw"
    folder = tmp_path / "new" / "folder"
    for _ in range(2):
        assert dataset_files.fetch(raw.as_uri(), folder=folder, **hashes) == folder
        assert files_in(folder) == files_in(tmp_path / "served")
    assert dataset_files.find(folder) == folder
    assert files_in(tmp_path / "cache") == {}


@pytest.mark.parametrize("is_complete", [True, False])
@pytest.mark.parametrize("name", [LABELS, f"{LABELS}.gz"])
def test_wrong_files_of_a_named_folder_are_reported_and_kept(
    tmp_path: Path, hashes: dict[str, Any], name: str, is_complete: bool
) -> None:
    raw = shutil.copytree(tmp_path / "served", tmp_path / "own") / "FashionMNIST" / "raw"
    (raw / name).write_bytes(b"my own")
    if not is_complete:
        (raw / f"{IMAGES}.gz").unlink()
    before = files_in(tmp_path / "own")
    with mirror(tmp_path / "served" / "FashionMNIST" / "raw") as url, pytest.raises(DataError, match=f"{name}: "):
        dataset_files.fetch(url, folder=tmp_path / "own", **hashes)
    assert files_in(tmp_path / "own") == before


def test_an_unpacked_file_is_kept_if_it_is_right_and_replaced_in_the_cache_if_it_is_wrong(
    tmp_path: Path, hashes: dict[str, Any]
) -> None:
    shutil.copytree(tmp_path / "served", cache_dir())
    unpack(cache_dir())
    (cache_dir() / "FashionMNIST" / "raw" / LABELS).write_bytes(b"wrong")
    requested: list[str] = []
    with mirror(tmp_path / "served" / "FashionMNIST" / "raw", before=requested.append) as url:
        dataset_files.read(dataset_files.fetch(url, **hashes), hashes["checksums"])
    assert requested == [f"{LABELS}.gz"]


def test_other_contents_with_the_right_md5_are_rejected(tmp_path: Path, hashes: dict[str, Any]) -> None:
    hashes["checksums"][IMAGES] = "0" * 64
    with (
        mirror(tmp_path / "served" / "FashionMNIST" / "raw") as url,
        pytest.raises(DataError, match=f"{IMAGES}.gz: the SHA-256 of its contents is"),
    ):
        dataset_files.fetch(url, **hashes)
    assert files_in(tmp_path / "cache") == {}


def test_without_a_network_three_remedies_are_listed() -> None:
    with pytest.raises(DataError) as error:
        dataset_files.fetch(timeout=5)
    for remedy in (UNREACHABLE, *CHECKSUMS, "--data-dir", "DROPEXP_DATA", "--data-url", "`dropexp data fetch`"):
        assert remedy in str(error.value)


def test_a_failure_is_reported_in_words_without_the_systems_number() -> None:
    with pytest.raises(DataError, match="Connection refused") as error:
        dataset_files.fetch(UNREACHABLE, timeout=5)
    assert "Errno" not in str(error.value)


def test_only_missing_or_wrong_files_are_downloaded_again(tmp_path: Path, hashes: dict[str, Any]) -> None:
    requested: list[str] = []
    with mirror(tmp_path / "served" / "FashionMNIST" / "raw", before=requested.append) as url:
        raw = dataset_files.fetch(url, **hashes) / "FashionMNIST" / "raw"
        (raw / f"{IMAGES}.gz").write_bytes(b"corrupted")
        (raw / f"{LABELS}.gz").unlink()
        requested.clear()
        dataset_files.fetch(url, **hashes)
        assert requested == [f"{IMAGES}.gz", f"{LABELS}.gz"]
    assert dataset_files.fetch(UNREACHABLE, **hashes) == cache_dir()


def fetch_in_a_process(url: str, hashes: dict[str, Any]) -> subprocess.Popen[str]:
    code = (
        "import json, sys; from dropexp.data.dataset_files import fetch; fetch(sys.argv[1], **json.loads(sys.argv[2]))"
    )
    return subprocess.Popen([sys.executable, "-c", code, url, json.dumps(hashes)], stderr=subprocess.PIPE, text=True)


def test_of_two_processes_one_downloads_and_both_succeed(tmp_path: Path, hashes: dict[str, Any]) -> None:
    requested: list[str] = []

    def slow(file: str) -> None:
        requested.append(file)
        time.sleep(0.3)

    with mirror(tmp_path / "served" / "FashionMNIST" / "raw", before=slow) as url:
        processes = [fetch_in_a_process(url, hashes) for _ in range(2)]
        assert [process.communicate(timeout=60)[1] for process in processes] == ["", ""]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(requested) == sorted(f"{name}.gz" for name in CHECKSUMS)
    assert files_in(cache_dir()) == files_in(tmp_path / "served")


def test_without_file_locks_files_are_downloaded_all_the_same(
    tmp_path: Path, hashes: dict[str, Any], no_locks: None
) -> None:
    with mirror(tmp_path / "served" / "FashionMNIST" / "raw") as url:
        assert files_in(dataset_files.fetch(url, **hashes)) == files_in(tmp_path / "served")


def test_unfinished_files_of_killed_processes_are_removed(tmp_path: Path, hashes: dict[str, Any]) -> None:
    raw = cache_dir() / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / f".{IMAGES}.gz.12345.tmp").write_bytes(b"half")
    with mirror(tmp_path / "served" / "FashionMNIST" / "raw") as url:
        dataset_files.fetch(url, **hashes)
    assert files_in(cache_dir()) == files_in(tmp_path / "served")


def test_a_download_that_was_killed_can_be_repeated(tmp_path: Path, hashes: dict[str, Any]) -> None:
    raw = tmp_path / "served" / "FashionMNIST" / "raw"
    requested = threading.Event()
    with mirror(raw, "stall", before=lambda file: requested.set()) as url:
        process = fetch_in_a_process(url, hashes)
        assert requested.wait(20)
        time.sleep(0.2)
        process.kill()
        process.communicate()
    assert dataset_files.find() is None
    with mirror(raw) as url:
        dataset_files.read(dataset_files.fetch(url, **hashes), hashes["checksums"])


def test_a_cache_that_is_not_writable_is_reported(tmp_path: Path, hashes: dict[str, Any]) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with (
        mirror(tmp_path / "served" / "FashionMNIST" / "raw") as url,
        pytest.raises(DataError, match=rf"cannot be stored in the cache, {tmp_path}.*: .*\n.*XDG_CACHE_HOME"),
    ):
        dataset_files.fetch(url, **hashes)


@pytest.mark.parametrize("url", ["ftp://example.org/", "mirror.example.org", ""])
def test_an_address_of_another_kind_is_rejected(url: str) -> None:
    with pytest.raises(DataError, match=f"--data-url '{url}' is not an address; it must begin with http://"):
        dataset_files.fetch(url)
