"""The four files of Fashion-MNIST: where they are, whether they are right, and fetching them."""

import gzip
import hashlib
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from dropexp.errors import DataError
from dropexp.tempfolder import temp_folder

URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"

# Of each file as it is served: <name>.gz
MD5 = {
    "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
}

# SHA-256 of each file's contents, unpacked
CHECKSUMS = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}

LARGEST = 47_040_016  # bytes in the largest file, unpacked; what gives more is not read to its end

Progress = Callable[[str, int, int], None]  # of a file: its name, bytes so far, bytes in all (0: not known)

_FOUR_FILES = ", ".join(f"{name}.gz" for name in CHECKSUMS)
_PIECE = 1 << 16  # bytes read at once


def cache_dir() -> Path:
    """The folder that the program keeps its own files in; it need not exist yet."""
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "dropexp"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "dropexp"
    return Path.home() / ".cache" / "dropexp"


def find(data_dir: Path | None = None) -> Path | None:
    """The first of `data_dir`, $DROPEXP_DATA, ./data and the cache that holds the four files, or None.

    They may be packed (.gz) or not, in FashionMNIST/raw/ as torchvision has them or in the folder itself.
    Raises DataError if `data_dir` or $DROPEXP_DATA names a folder without them: it is not passed over.
    """
    for named, by in ((data_dir, "--data-dir"), (os.environ.get("DROPEXP_DATA"), "DROPEXP_DATA")):
        if not named:
            continue
        if missing := _missing(raw := raw_dir(Path(named))):
            raise DataError(
                f"{by} names {named}, but {raw} lacks {', '.join(missing)} of Fashion-MNIST.\n"
                f"Put the four files there ({_FOUR_FILES}; or unpacked), name another folder, or leave "
                f"{by} out: then they are looked for in ./data and in the cache, or fetched."
            )
        return Path(named)
    return next((root for root in (Path("data"), cache_dir()) if not _missing(raw_dir(root))), None)


def raw_dir(root: Path) -> Path:
    """Where the four files lie under `root`: FashionMNIST/raw, else raw, else `root` itself."""
    folders = [root / "FashionMNIST" / "raw", root / "raw", root]
    return next((folder for folder in folders if not _missing(folder)), folders[0])


def source(root: Path, name: str) -> Path:
    """The file that holds `name` (a key of CHECKSUMS): the unpacked one, or else the .gz, there or not."""
    unpacked = raw_dir(root) / name
    return unpacked if _is_file(unpacked) else unpacked.with_name(f"{name}.gz")


def verify(root: Path, checksums: Mapping[str, str] = CHECKSUMS, *, copy_to: Path | None = None) -> None:
    """Reads each file under `root` once and compares its SHA-256; unpacks them into `copy_to` meanwhile.

    Raises DataError that names every file that is wrong, and why.
    """
    wrong = []
    for name, sha256 in checksums.items():
        path = source(root, name)
        if fault := _fault(path, sha256, copy_to and copy_to / name):
            wrong.append(f"  {path}: {fault}")
    if wrong:
        raise DataError(
            "These files are not those of Fashion-MNIST:\n" + "\n".join(wrong) + "\nDelete them and run "
            "`dropexp data fetch`, or name a folder with the right ones by --data-dir or DROPEXP_DATA."
        )


def fetch(
    url: str | None = None,
    progress: Progress | None = None,
    *,
    timeout: float = 20,
    md5: Mapping[str, str] = MD5,
    checksums: Mapping[str, str] = CHECKSUMS,
) -> Path:
    """Downloads what the cache lacks of the four files and returns the cache, a root as `find` gives.

    The mirror `url` (http, https or file) is asked first, then URL; one that sends nothing for `timeout`
    seconds is given up. A file is put in the cache when it is whole and right: `md5` is of the packed files,
    `checksums` of what they hold. Raises DataError with every mirror's failure if none has the files.
    """
    if url is not None and not url.startswith(("http://", "https://", "file://")):
        raise DataError(f"--data-url {url!r} is no address: it begins with http://, https:// or file://.")
    raw = cache_dir() / "FashionMNIST" / "raw"
    failures = []
    for mirror in [URL] if url is None else [url, URL]:
        try:
            raw.mkdir(parents=True, exist_ok=True)
            for name, sha256 in checksums.items():
                place = raw / f"{name}.gz"
                if _fault(place, sha256):
                    _put(_download(mirror, place.name, md5[name], progress, timeout), place, sha256)
            return cache_dir()
        except DataError as failure:
            failures.append(f"  {mirror}: {failure}\n")
        except OSError as error:
            raise DataError(
                f"Fashion-MNIST cannot be stored in the cache: {error}.\nName a folder that can be written "
                "by XDG_CACHE_HOME, or one with the data by --data-dir or DROPEXP_DATA."
            ) from error
    raise DataError(
        f"Fashion-MNIST is not in the cache and could not be downloaded:\n{''.join(failures)}"
        "There are three ways out:\n"
        f"  put {_FOUR_FILES}\n  in a folder and name it by --data-dir DIR or DROPEXP_DATA=DIR;\n"
        "  name a mirror that has them by --data-url URL;\n"
        "  connect to the internet and run `dropexp data fetch`."
    )


def keep(packed: Mapping[str, bytes], checksums: Mapping[str, str] = CHECKSUMS) -> Path:
    """Puts files that came another way, packed, by name, in the cache and returns it, as `fetch` does.

    Raises DataError if one is not right, OSError if the cache cannot be written.
    """
    raw = cache_dir() / "FashionMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, sha256 in checksums.items():
        place = raw / f"{name}.gz"
        if _fault(place, sha256):
            _put(packed[name], place, sha256)
    return cache_dir()


def packed(root: Path, checksums: Mapping[str, str] = CHECKSUMS) -> dict[str, bytes]:
    """The files under `root` by name, packed. Raises DataError as `verify` does."""
    verify(root, checksums)
    sources = {name: source(root, name) for name in checksums}
    return {
        name: path.read_bytes() if path.suffix == ".gz" else gzip.compress(path.read_bytes(), 1, mtime=0)
        for name, path in sources.items()
    }


def _download(mirror: str, file: str, md5: str, progress: Progress | None, timeout: float) -> bytearray:
    # Imported here: they take longer than the rest of what a command that fetches nothing needs.
    import http.client
    import urllib.error
    import urllib.request

    content = bytearray()
    try:
        address = f"{mirror.rstrip('/')}/{file}"
        with urllib.request.urlopen(address, timeout=timeout) as answer:  # nosec B310  # `fetch` lets no other scheme in
            total = int(answer.headers.get("Content-Length") or 0)
            while len(content) <= LARGEST and (piece := answer.read(_PIECE)):
                content += piece
                if progress:
                    progress(file, len(content), total)
    except (OSError, ValueError, http.client.HTTPException) as error:
        cause = error.reason if type(error) is urllib.error.URLError else error
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        late = isinstance(cause, TimeoutError)
        raise DataError(f"{file}: {f'nothing came for {timeout:g} s' if late else cause}") from error
    if len(content) < total:
        raise DataError(f"{file}: the connection was cut after {len(content):,} of {total:,} bytes")
    if (found := hashlib.md5(content, usedforsecurity=False).hexdigest()) != md5:
        raise DataError(f"{file}: what came is not the file: its MD5 is {found}, not {md5}")
    return content


def _put(content: bytes | bytearray, place: Path, sha256: str) -> None:
    with temp_folder(cache_dir()) as folder:
        part = folder / place.name
        part.write_bytes(content)
        if fault := _fault(part, sha256):
            raise DataError(f"{place.name}: {fault}")
        try:
            os.replace(part, place)
        except PermissionError:  # on Windows, while another process reads the same file, just put there
            if _fault(place, sha256):
                raise


def _missing(folder: Path) -> list[str]:
    return [name for name in CHECKSUMS if not any(_is_file(folder / f"{name}{end}") for end in ("", ".gz"))]


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 (up to Python 3.13 Path.is_file raises where the folder may not be read)


def _fault(path: Path, sha256: str, copy: Path | None = None) -> str | None:
    """What is wrong with the file, None if nothing; `copy` gets what it holds, unpacked."""
    digest = hashlib.sha256()
    with (copy or Path(os.devnull)).open("wb") as sink:
        try:
            for piece in _unpacked(path):
                digest.update(piece)
                sink.write(piece)
        except DataError as fault:
            return str(fault)
    found = digest.hexdigest()
    return None if found == sha256 else f"the SHA-256 of its contents is {found}, not {sha256}"


def _unpacked(path: Path) -> Iterator[bytes]:
    size = 0
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"it holds more than {LARGEST:,} bytes, as none of the files does")
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            while piece := file.read(_PIECE):
                size += len(piece)
                if size > LARGEST:
                    raise DataError(f"it holds more than {LARGEST:,} bytes, as none of the files does")
                yield piece
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(getattr(error, "strerror", None) or str(error)) from error
