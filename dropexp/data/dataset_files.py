"""The four files of Fashion-MNIST: find, verify and download them."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import IO

from dropexp.data.cache import cache_dir, cache_lock
from dropexp.data.download import LARGEST, Progress, get
from dropexp.errors import DataError
from dropexp.files import is_file, replacing, why
from dropexp.home_folder import expanded

MIRRORS = (  # the first is torchvision's, the second that of the authors
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)

MD5 = {  # of each file as it is served: <name>.gz
    "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
}

CHECKSUMS = {  # SHA-256 of each file's unpacked contents
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}

_FOUR_FILES = ", ".join(f"{name}.gz" for name in CHECKSUMS)


def find(data_dir: Path | None = None) -> Path | None:
    """Return the first of `data_dir`, $DROPEXP_DATA, ./data and the cache that has the four files, or None.

    They may be packed (.gz) or not, in FashionMNIST/raw/ as torchvision has them, in raw/, or in the folder itself.
    Raises DataError if `data_dir` or $DROPEXP_DATA names a folder without them.
    """
    named, by = named_folder(data_dir)
    if named is None:
        return next((root for root in (Path("data"), cache_dir()) if not _missing(raw_dir(root))), None)
    if missing := _missing(raw := raw_dir(named)):
        raise DataError(
            f"{by} names {named}, but {raw} lacks {', '.join(missing)} of Fashion-MNIST.\n"
            f"`dropexp data fetch` downloads them there{' with --data-dir' if data_dir else ''}. Or put the four files "
            f"there ({_FOUR_FILES}; or unpacked), name another folder, or leave {by} out to use ./data or the cache."
        )
    return named


def named_folder(data_dir: Path | None = None) -> tuple[Path | None, str]:
    """Return the named folder, and "--data-dir" or else "DROPEXP_DATA", which names it; (None, "") if neither does."""
    if data_dir is not None:
        return expanded(data_dir), "--data-dir"
    if variable := os.environ.get("DROPEXP_DATA"):
        return expanded(variable), "DROPEXP_DATA"
    return None, ""


def raw_dir(root: Path) -> Path:
    """Return the first of FashionMNIST/raw, raw and `root` itself that has the four files, or the first if none has."""
    folders = [root / "FashionMNIST" / "raw", root / "raw", root]
    return next((folder for folder in folders if not _missing(folder)), folders[0])


def source(root: Path, name: str) -> Path:
    """Return the path of `name` (a key of CHECKSUMS): the unpacked file if it exists, else the .gz."""
    return _source(raw_dir(root), name)


def read(root: Path, checksums: Mapping[str, str] = CHECKSUMS) -> dict[str, bytes]:
    """Return the unpacked contents of the four files under `root`, by name, after verifying their SHA-256.

    Raises DataError, which lists every missing or wrong file with the reason.
    """
    contents, faults = {}, []
    for name, sha256 in checksums.items():
        path = source(root, name)
        try:
            contents[name] = _read(path, sha256)
        except DataError as fault:
            faults.append(f"  {path}: {fault}\n")
    if faults:
        raise DataError(
            f"These files are not those of Fashion-MNIST:\n{''.join(faults)}Delete them and run `dropexp data fetch`, "
            "or name a folder with the right ones by --data-dir or DROPEXP_DATA."
        )
    return contents


def fetch(
    url: str | None = None,
    progress: Progress | None = None,
    *,
    folder: Path | None = None,
    timeout: float = 20,
    md5: Mapping[str, str] = MD5,
    checksums: Mapping[str, str] = CHECKSUMS,
) -> Path:
    """Download the files that `folder`, by default the cache, lacks. Return the folder.

    Tries the mirror `url` (http, https or file) first, then MIRRORS. A mirror that sends nothing for `timeout` seconds
    fails. A file appears only when it is complete and correct: `md5` has the checksums of the packed files,
    `checksums` the SHA-256 of their contents. Raises DataError if no mirror has the files (with the failure of each),
    if `url` has another scheme, if `folder` has wrong files, or if it cannot be written.
    """
    if url is not None and not url.startswith(("http://", "https://", "file://")):
        raise DataError(f"--data-url {url!r} is not an address; it must begin with http://, https:// or file://.")
    if folder is not None:
        missing = _missing(raw_dir(folder))
        present = {name: sha256 for name, sha256 in checksums.items() if name not in missing}
        read(folder, present)  # wrong files there may be the user's own, and are not replaced
        if not missing:
            return folder
    root, failures = folder or cache_dir(), []
    with cache_lock() if folder is None else nullcontext():
        for mirror in [url, *MIRRORS] if url is not None else MIRRORS:
            try:
                return _fill(root, partial(get, mirror, md5, progress, timeout), checksums)
            except DataError as failure:
                failures.append(f"  {mirror}: {failure}\n")
            except OSError as error:
                where = f"in the cache, {root}" if folder is None else f"in {folder}"
                raise DataError(
                    f"Fashion-MNIST cannot be stored {where}: {why(error)}.\nName a writable folder by "
                    f"{'XDG_CACHE_HOME, or a folder with the data by ' if folder is None else ''}--data-dir or "
                    "DROPEXP_DATA."
                ) from error
    raise DataError(
        f"Fashion-MNIST is not in {'the cache' if folder is None else folder} and could not be downloaded:\n"
        f"{''.join(failures)}Do one of three things:\n"
        f"  put {_FOUR_FILES}\n  in a folder and name it by --data-dir DIR or DROPEXP_DATA=DIR;\n"
        "  name a mirror that has them by --data-url URL;\n"
        "  connect to the internet and run `dropexp data fetch`."
    )


def store(packed: Mapping[str, bytes], checksums: Mapping[str, str] = CHECKSUMS) -> Path:
    """Put packed files, by name, into the cache and return its folder.

    Raises DataError if one is wrong, OSError if the cache cannot be written.
    """
    with cache_lock():
        return _fill(cache_dir(), lambda name: packed[name], checksums)


def read_packed(root: Path, checksums: Mapping[str, str] = CHECKSUMS) -> dict[str, bytes]:
    """Return the files under `root` by name, packed. Raises DataError as `read` does."""
    contents = read(root, checksums)
    paths = {name: source(root, name) for name in checksums}
    return {
        name: path.read_bytes() if path.suffix == ".gz" else gzip.compress(contents[name], 1, mtime=0)
        for name, path in paths.items()
    }


def _fill(root: Path, packed: Callable[[str], bytes], checksums: Mapping[str, str]) -> Path:
    """Put the packed files that `root` lacks, or has wrong, into it."""
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, sha256 in checksums.items():
        path, found = raw / f"{name}.gz", _source(raw, name)
        try:
            _read(found, sha256)
        except DataError:
            content = packed(name)
            try:
                _unpack(io.BytesIO(content), True, sha256)
            except DataError as fault:
                raise DataError(f"{path.name}: {fault}") from fault
            with replacing(path, sync=False) as file:
                file.write(content)
            if found != path:
                found.unlink()  # `source` would prefer the wrong unpacked file
    return root


def _source(folder: Path, name: str) -> Path:
    unpacked = folder / name
    return unpacked if is_file(unpacked) else unpacked.with_name(f"{name}.gz")


def _missing(folder: Path) -> list[str]:
    return [name for name in CHECKSUMS if not any(is_file(folder / f"{name}{end}") for end in ("", ".gz"))]


def _read(path: Path, sha256: str) -> bytes:
    """Return the unpacked contents of a file. Raises DataError with the reason if they are not the right ones."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > LARGEST:  # a gzip file can be long and unpack to nothing
                raise DataError(f"it has more than {LARGEST:,} bytes, which none of the files has")
            return _unpack(file, path.suffix == ".gz", sha256)
    except OSError as error:
        raise DataError(why(error)) from error


def _unpack(file: IO[bytes], packed: bool, sha256: str) -> bytes:
    try:
        content = (gzip.GzipFile(fileobj=file) if packed else file).read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(why(error)) from error
    if len(content) > LARGEST:
        raise DataError(f"it has more than {LARGEST:,} bytes, which none of the files has")
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise DataError(f"the SHA-256 of its contents is {found}, not {sha256}")
    return content
