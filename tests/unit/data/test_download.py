"""Finding, checking and downloading the four files."""

import gzip
import hashlib
import json
import os
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
from helpers.synthetic import real_data, write_synthetic

from dropexp.data import download
from dropexp.data.download import CHECKSUMS, MD5, URL
from dropexp.errors import DataError

IMAGES, LABELS = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
NOWHERE = "http://127.0.0.1:9/"  # the discard port: nothing listens there


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a cache and a working folder of its own, and no internet."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("DROPEXP_DATA", raising=False)
    monkeypatch.setattr(download, "URL", NOWHERE)


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, Any]:
    """A synthetic set at tmp_path/served, as the facts that `fetch` checks it by."""
    checksums = write_synthetic(tmp_path / "served", train=60, test=20)
    raw = tmp_path / "served" / "FashionMNIST" / "raw"
    md5 = {name: hashlib.md5((raw / f"{name}.gz").read_bytes()).hexdigest() for name in checksums}
    return {"checksums": checksums, "md5": md5}


@contextmanager
def mirror(raw: Path, fault: str = "none", before: Callable[[str], object] = lambda file: None) -> Iterator[str]:
    """The address of a mirror of the files in `raw`; `before` is called with each file that is asked for.

    404 has no file; of the training images, `cut` and `stall` send half, `corrupt` flips a byte.
    """
    over = threading.Event()

    class Mirror(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = raw / PurePosixPath(self.path).name
            before(path.name)
            if fault == "404" or not path.is_file():
                self.send_error(404)
                return
            body = bytearray(path.read_bytes())
            wrong = path.name.startswith(IMAGES)
            if wrong and fault == "corrupt":
                body[len(body) // 2] ^= 0xFF
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if wrong and fault in ("cut", "stall"):
                del body[len(body) // 2 :]
            self.wfile.write(body)
            if wrong and fault == "stall":
                self.wfile.flush()
                over.wait(60)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        over.set()
        server.shutdown()


def everything_in(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def unpack(root: Path) -> None:
    for packed in list((root / "FashionMNIST" / "raw").glob("*.gz")):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()


# The facts


def test_the_mirror_and_its_md5_sums_are_those_of_torchvision() -> None:
    from torchvision.datasets import FashionMNIST

    assert FashionMNIST.mirrors == [URL]
    assert {f"{name}.gz": md5 for name, md5 in MD5.items()} == dict(FashionMNIST.resources)
    assert list(CHECKSUMS) == list(MD5)


def test_the_real_files_have_the_known_checksums() -> None:
    download.verify(real_data())


def test_importing_it_is_cheap() -> None:
    code = "import dropexp.data.download, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {"torch", "torchvision", "numpy", "pandas", "rich", "urllib.request"}.isdisjoint(loaded)


def test_the_cache_is_where_the_platform_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    if sys.platform == "win32":
        assert download.cache_dir() == Path(os.environ["LOCALAPPDATA"]) / "dropexp"
    else:
        assert download.cache_dir() == Path.home() / ".cache" / "dropexp"


# Finding


def test_found_in_the_order_option_variable_working_folder_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert download.find() is None
    write_synthetic(download.cache_dir())
    assert download.find() == download.cache_dir()
    write_synthetic(Path("data"))
    assert download.find() == Path("data")
    write_synthetic(tmp_path / "variable")
    monkeypatch.setenv("DROPEXP_DATA", str(tmp_path / "variable"))
    assert download.find() == tmp_path / "variable"
    write_synthetic(tmp_path / "option")
    assert download.find(tmp_path / "option") == tmp_path / "option"


def test_found_packed_or_unpacked_in_torchvisions_folders_or_directly(tmp_path: Path) -> None:
    checksums = write_synthetic(tmp_path / "a")
    raw = tmp_path / "a" / "FashionMNIST" / "raw"
    for named in (tmp_path / "a", tmp_path / "a" / "FashionMNIST", raw):
        download.verify(download.find(named) or Path(), checksums)
    unpack(tmp_path / "a")
    assert download.source(tmp_path / "a", IMAGES) == raw / IMAGES
    download.verify(tmp_path / "a", checksums)


def test_a_folder_that_is_named_must_hold_all_four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_synthetic(download.cache_dir())
    write_synthetic(tmp_path / "part")
    (tmp_path / "part" / "FashionMNIST" / "raw" / f"{LABELS}.gz").unlink()
    with pytest.raises(DataError, match=rf"--data-dir names .*part, but .*raw lacks {LABELS} of"):
        download.find(tmp_path / "part")
    monkeypatch.setenv("DROPEXP_DATA", str(tmp_path / "absent"))
    with pytest.raises(DataError, match=r"DROPEXP_DATA names .*absent"):
        download.find()


def test_a_working_folder_with_some_of_the_four_is_passed_over() -> None:
    write_synthetic(Path("data"))
    (Path("data") / "FashionMNIST" / "raw" / f"{LABELS}.gz").unlink()
    assert download.find() is None


# Verifying


def test_every_wrong_file_is_named(tmp_path: Path) -> None:
    checksums = write_synthetic(tmp_path / "a") | {IMAGES: "0" * 64, LABELS: "1" * 64}
    with pytest.raises(DataError) as error:
        download.verify(tmp_path / "a", checksums)
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
        (gzip.compress(bytes(download.LARGEST + 1)), "more than 47,040,016 bytes"),
    ],
    ids=["cut", "damaged", "not gzip", "empty", "bomb"],
)
def test_a_broken_file_is_named_with_the_reason(tmp_path: Path, content: bytes, why: str) -> None:
    checksums = write_synthetic(tmp_path)
    packed = tmp_path / "FashionMNIST" / "raw" / f"{IMAGES}.gz"
    packed.write_bytes(content)
    with pytest.raises(DataError, match=f"{IMAGES}.gz: .*({why})"):
        download.verify(tmp_path, checksums)


def test_a_packed_file_that_is_longer_than_any_unpacked_one_is_not_read(tmp_path: Path) -> None:
    checksums = write_synthetic(tmp_path)
    with open(tmp_path / "FashionMNIST" / "raw" / f"{IMAGES}.gz", "wb") as packed:
        packed.write(gzip.compress(b"") * 100)  # what unpacks to nothing would be read to its end
        packed.truncate(1 << 40)
    with pytest.raises(DataError, match=f"{IMAGES}.gz: it holds more than 47,040,016 bytes"):
        download.verify(tmp_path, checksums)


def test_a_half_unpacked_file_beside_the_packed_one_is_named(tmp_path: Path) -> None:
    checksums = write_synthetic(tmp_path)
    unpacked = tmp_path / "FashionMNIST" / "raw" / IMAGES
    unpacked.write_bytes(gzip.decompress(unpacked.with_name(f"{IMAGES}.gz").read_bytes())[:1000])
    with pytest.raises(DataError, match=f"{IMAGES}: the SHA-256"):
        download.verify(tmp_path, checksums)


def test_what_is_wrong_is_not_sent_to_other_machines(tmp_path: Path) -> None:
    checksums = write_synthetic(tmp_path)
    raw = tmp_path / "FashionMNIST" / "raw"
    assert download.packed(tmp_path, checksums)[LABELS] == (raw / f"{LABELS}.gz").read_bytes()
    (raw / f"{LABELS}.gz").write_bytes(gzip.compress(b"other labels", mtime=0))
    with pytest.raises(DataError, match=f"{LABELS}.gz: the SHA-256"):
        download.packed(tmp_path, checksums)


# Fetching


@pytest.mark.parametrize("end", ["/", ""])
def test_fetched_files_are_found_and_right(tmp_path: Path, facts: dict[str, Any], end: str) -> None:
    told: dict[str, list[tuple[int, int]]] = {}
    raw = tmp_path / "served" / "FashionMNIST" / "raw"
    with mirror(raw) as url:
        root = download.fetch(
            url.rstrip("/") + end,
            lambda name, size, total: told.setdefault(name, []).append((size, total)),
            **facts,
        )
    assert root == download.find() == tmp_path / "cache" / "dropexp"
    assert everything_in(root) == everything_in(tmp_path / "served")
    assert {name: sizes[-1] for name, sizes in told.items()} == {
        path.name: (path.stat().st_size, path.stat().st_size) for path in raw.iterdir()
    }


def test_a_folder_can_be_the_mirror(tmp_path: Path, facts: dict[str, Any]) -> None:
    root = download.fetch((tmp_path / "served" / "FashionMNIST" / "raw").as_uri(), **facts)
    download.verify(root, facts["checksums"])


FAULTS = {
    "cut": r"the connection was cut after [\d,]+ of [\d,]+ bytes",
    "corrupt": "what came is not the file: its MD5 is",
    "stall": "nothing came for 0.3 s",
    "404": "HTTP Error 404: Not Found",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_mirror_is_named_and_leaves_no_data(tmp_path: Path, facts: dict[str, Any], fault: str) -> None:
    begun = time.monotonic()
    with (
        mirror(tmp_path / "served" / "FashionMNIST" / "raw", fault) as url,
        pytest.raises(DataError, match=f"{url}: {IMAGES}.gz: {FAULTS[fault]}") as error,
    ):
        download.fetch(url, timeout=0.3, **facts)
    assert time.monotonic() - begun < 10  # and not the 20 s that are usual
    assert f"{NOWHERE}: {IMAGES}.gz: " in str(error.value)
    assert download.find() is None
    assert everything_in(tmp_path / "cache") == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_mirror_is_followed_by_the_next(
    tmp_path: Path, facts: dict[str, Any], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "served" / "FashionMNIST" / "raw"
    with mirror(raw, fault) as bad, mirror(raw) as good:
        monkeypatch.setattr(download, "URL", good)
        root = download.fetch(bad, timeout=0.3, **facts)
    assert everything_in(root) == everything_in(tmp_path / "served")


def test_a_mirror_of_other_contents_under_the_right_md5_is_refused(tmp_path: Path, facts: dict[str, Any]) -> None:
    facts["checksums"][IMAGES] = "0" * 64
    with (
        mirror(tmp_path / "served" / "FashionMNIST" / "raw") as url,
        pytest.raises(DataError, match=f"{IMAGES}.gz: the SHA-256 of its contents is"),
    ):
        download.fetch(url, **facts)
    assert everything_in(tmp_path / "cache") == {}


def test_without_a_network_the_three_ways_out_are_told() -> None:
    with pytest.raises(DataError) as error:
        download.fetch(timeout=5)
    for way in (NOWHERE, *CHECKSUMS, "--data-dir", "DROPEXP_DATA", "--data-url", "`dropexp data fetch`"):
        assert way in str(error.value)


def test_only_what_is_missing_or_wrong_is_fetched_again(tmp_path: Path, facts: dict[str, Any]) -> None:
    asked: list[str] = []
    with mirror(tmp_path / "served" / "FashionMNIST" / "raw", before=asked.append) as url:
        raw = download.fetch(url, **facts) / "FashionMNIST" / "raw"
        (raw / f"{IMAGES}.gz").write_bytes(b"damaged")
        (raw / f"{LABELS}.gz").unlink()
        asked.clear()
        download.fetch(url, **facts)
        assert asked == [f"{IMAGES}.gz", f"{LABELS}.gz"]
    assert download.fetch(NOWHERE, **facts) == download.cache_dir()


def fetch_in_a_process(url: str, facts: dict[str, Any]) -> subprocess.Popen[str]:
    code = "import json, sys; from dropexp.data.download import fetch; fetch(sys.argv[1], **json.loads(sys.argv[2]))"
    return subprocess.Popen([sys.executable, "-c", code, url, json.dumps(facts)], stderr=subprocess.PIPE, text=True)


def test_two_processes_that_fetch_at_once_both_end_well(tmp_path: Path, facts: dict[str, Any]) -> None:
    together = threading.Barrier(2)
    with mirror(
        tmp_path / "served" / "FashionMNIST" / "raw",
        before=lambda file: file.startswith(IMAGES) and together.wait(20),
    ) as url:
        processes = [fetch_in_a_process(url, facts) for _ in range(2)]
        assert [process.communicate(timeout=60)[1] for process in processes] == ["", ""]
    assert [process.returncode for process in processes] == [0, 0]
    assert everything_in(download.cache_dir()) == everything_in(tmp_path / "served")


def test_a_killed_download_is_no_data_and_the_next_one_ends_well(tmp_path: Path, facts: dict[str, Any]) -> None:
    raw = tmp_path / "served" / "FashionMNIST" / "raw"
    begun = threading.Event()
    with mirror(raw, "stall", before=lambda file: begun.set()) as url:
        process = fetch_in_a_process(url, facts)
        assert begun.wait(20)
        time.sleep(0.2)
        process.kill()
        process.communicate()
    assert download.find() is None
    with mirror(raw) as url:
        download.verify(download.fetch(url, **facts), facts["checksums"])


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, facts: dict[str, Any]) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with (
        mirror(tmp_path / "served" / "FashionMNIST" / "raw") as url,
        pytest.raises(DataError, match=r"cannot be stored in the cache: .*\n.*XDG_CACHE_HOME"),
    ):
        download.fetch(url, **facts)


@pytest.mark.parametrize("url", ["ftp://example.org/", "mirror.example.org", ""])
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(DataError, match=f"--data-url '{url}' is no address: it begins with http://"):
        download.fetch(url)
