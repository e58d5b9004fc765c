"""Ask a model hub: Hugging Face's, or the one that HF_ENDPOINT names.

`huggingface_hub` provides headers, addresses and errors. Answers are read here, undecoded and up to
a size limit, as a hub is not trusted. Knows no disk.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from dgedit.errors import EngineError, UsageError

if TYPE_CHECKING:
    import httpx2

_TIMEOUT = 30.0  # seconds without a byte
_LISTED, _LISTING = 16_000_000, 60.0  # limits of a repository's listing, in bytes and seconds
_SAID = ("x-error-code", "x-error-message")


def listed(repo: str, revision: str | None) -> tuple[str, dict[str, int]]:
    """Return the commit of a repository that the hub has, and its files' sizes in bytes by name.

    Raises EngineError, and ValueError for a malformed answer.
    """
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    validate_repo_id(repo)
    state = "" if revision is None else f"/revision/{quote(revision, safe='')}"
    data, until = bytearray(), time.monotonic() + _LISTING
    with asked(f"{endpoint()}/api/models/{repo}{state}?blobs=true") as response:
        for chunk in response.iter_raw():
            data += chunk
            if len(data) > _LISTED or time.monotonic() > until:
                raise EngineError(
                    f"what {endpoint()} says of {repo} does not end: more than {_LISTED:,} bytes"
                    f" or {_LISTING:g} s"
                )
    said = json.loads(data)
    commit, siblings = said["sha"], said.get("siblings") or []
    if not (isinstance(commit, str) and re.fullmatch("[0-9a-f]{40}", commit)):
        raise EngineError(f"{endpoint()} does not say which commit of {repo} it has")
    return commit, {str(one["rfilename"]): sound(one.get("size")) or 0 for one in siblings}


def sound(size: object) -> int | None:
    """Return a file's size as the hub gives it; None if no file can have that size."""
    return size if type(size) is int and 0 <= size < 2**63 else None


@contextlib.contextmanager
def asked(url: str, *, start: int = 0) -> Iterator[httpx2.Response]:
    """Open a hub's answer as a stream.

    Raises if the hub refuses. The body of a refusal is not read, as the library would, to its end.
    """
    import httpx2
    from huggingface_hub import get_session
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        hf_raise_for_status,
    )

    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT) as response:
        said = {key: response.headers[key] for key in _SAID if key in response.headers}
        hf_raise_for_status(
            httpx2.Response(response.status_code, headers=said, request=response.request)
        )
        yield response


@contextlib.contextmanager
def words(repo: str, revision: str | None) -> Iterator[None]:
    """Turn the errors of a hub and its library into errors of one line."""
    try:
        import httpx2
        from huggingface_hub import errors
    except ImportError as error:
        raise EngineError(f"huggingface_hub cannot be loaded: {error}") from error
    hub = endpoint()
    # The library logs a hub's warnings unfiltered.
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    try:
        yield
    except errors.HFValidationError:
        raise UsageError(f"no repository's name: {repo!r} (OWNER/NAME)") from None
    except errors.OfflineModeIsEnabled:
        raise EngineError(f"HF_HUB_OFFLINE is set: {repo} is not fetched") from None
    except errors.GatedRepoError:
        raise EngineError(
            f"{repo} is gated: agree to its terms at {hub}/{repo}, and set HF_TOKEN"
        ) from None
    except errors.RepositoryNotFoundError:
        raise EngineError(
            f"no such repository: {repo} at {hub} (for a private one, set HF_TOKEN)"
        ) from None
    except errors.RevisionNotFoundError:
        raise EngineError(f"{repo} has no revision {revision}") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        advice = " (does HF_TOKEN allow it?)" if status in (401, 403) else ""
        raise EngineError(f"{hub} answers {status} for {repo}{advice}") from None
    except errors.HTTPError as error:  # type: ignore[attr-defined]
        reason = str(error) or type(error).__name__
        raise EngineError(f"{hub} cannot be reached for {repo}: {reason:.200}") from None
    except httpx2.InvalidURL as error:
        raise UsageError(f"no address of a hub: {hub} ({error})") from None
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise EngineError(f"{hub} does not answer as a hub for {repo}: {error!s:.200}") from None


def endpoint() -> str:
    """Return the hub's address. The library itself reads the variable only at import."""
    given = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    if given:
        return given
    from huggingface_hub import constants

    return str(constants.ENDPOINT)
