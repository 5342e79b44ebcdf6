"""Download one file from a mirror, with a second attempt after a temporary failure.

The download is our own: pooch reads no file:// addresses, limits no sizes, and needs requests; it would save 15 lines.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping

from dropexp.errors import DataError
from dropexp.files import why

LARGEST = 47_040_016  # bytes in the largest file, unpacked
PAUSE = 1.0  # seconds before the second attempt
BUSY = (408, 425, 429, 500, 502, 503, 504)  # HTTP codes of a server that may respond to the next request
_PIECE = 1 << 16  # bytes per read

# Of one file: its name, bytes so far, bytes in all. An unknown size is 0 until the last call.
Progress = Callable[[str, int, int], None]


class _Temporary(DataError):
    """A failure that may be temporary, such as a timeout or a busy server."""


def get(mirror: str, md5: Mapping[str, str], progress: Progress | None, timeout: float, name: str) -> bytes:
    """Return the packed file `name` from the address `mirror`. Raises DataError with the reason."""
    try:
        return _get(mirror, md5, progress, timeout, name)
    except _Temporary:
        time.sleep(PAUSE)
    return _get(mirror, md5, progress, timeout, name)


def _get(mirror: str, md5: Mapping[str, str], progress: Progress | None, timeout: float, name: str) -> bytes:
    # Imported here: a command that downloads nothing would spend most of its start-up time on them.
    import http.client
    import urllib.error
    import urllib.request

    file, content = f"{name}.gz", bytearray()
    try:
        address = f"{mirror.rstrip('/')}/{file}"
        with urllib.request.urlopen(address, timeout=timeout) as response:  # nosec B310 (`fetch` checks the scheme)
            total = int(response.headers.get("Content-Length") or 0)
            while len(content) <= LARGEST and (piece := response.read(_PIECE)):
                content += piece
                if progress:
                    progress(file, len(content), total)
    except urllib.error.HTTPError as error:
        error.close()  # else the connection stays open
        raise (_Temporary if error.code in BUSY else DataError)(f"{file}: {error}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        cause = error.reason if type(error) is urllib.error.URLError else error
        if isinstance(cause, TimeoutError):
            raise _Temporary(f"{file}: no data for {timeout:g} s") from error
        is_temporary = isinstance(cause, ConnectionResetError | http.client.HTTPException)
        reason = why(cause) if isinstance(cause, Exception) else cause
        raise (_Temporary if is_temporary else DataError)(f"{file}: {reason}") from error
    if len(content) < total:
        raise _Temporary(f"{file}: the connection was cut after {len(content):,} of {total:,} bytes")
    if (found := hashlib.md5(content, usedforsecurity=False).hexdigest()) != md5[name]:
        raise DataError(f"{file}: it has other contents: MD5 {found}, expected {md5[name]}")
    if progress and not total:
        progress(file, len(content), len(content))
    return bytes(content)
