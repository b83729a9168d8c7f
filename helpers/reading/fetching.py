"""From the hub to this disk: within bounds of time, checked byte for byte, with errors that say what to do.

The hub's own library does not compare checksums, tries again in silence for up to half a minute and waits as
long as a server tells it to; its faster transport (Xet) has no limit at all. So here its requests are plain
ones with a time limit, and trying again is ours: it is rare, short and shown.
"""

import errno
import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from helpers.reading.files import CorpusError

SECONDS = 8.0  # to connect, and between two parts of an answer
TRIES = 3  # of a request that fails for a reason that may pass
LONGEST_WAIT = 10  # seconds between two tries
MAY_PASS = (408, 429, 500, 502, 503, 504)
Show = Callable[[str], object]  # takes a line for the user to read
Answer = TypeVar("Answer")


class NotThereError(CorpusError):
    """The hub knows the data set, but not this revision or file of it."""


@dataclass(frozen=True)
class HubFile:
    """A file of a data set, and what its bytes have to be."""

    path: str
    size: int
    checksum: str  # sha256, or for a file that git itself keeps its id there (40 digits)

    def fault(self, local: Path) -> str:
        """Say what is wrong with a copy; "" if nothing is."""
        size = local.stat().st_size
        if size != self.size:
            return f"it has {size:,} bytes instead of {self.size:,}"
        found = sha256(local) if len(self.checksum) == 64 else _git_id(local)
        if found != self.checksum:
            return f"its checksum is {found[:12]}… instead of {self.checksum[:12]}…"
        return ""


def sha256(local: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with local.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git_id(local: Path) -> str:
    content = local.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def listing(name: str, revision: str | None, reference: str, show: Show = print) -> tuple[str, list[HubFile]]:
    """Ask the hub which commit a revision of a data set is, and which files it holds.

    Args:
        name: of the data set, such as "DFKI-SLT/few-nerd".
        revision: a branch, tag or commit; None for the main branch.
        reference: what the user calls the set: hub:NAME or hub:NAME:CONFIG.
        show: is called with a line whenever a request is repeated.

    Returns:
        The commit (40 digits), and its files.

    Raises:
        NotThereError: the set has no such revision.
        CorpusError: the hub does not answer, has no such set, or does not show it.
    """
    from huggingface_hub import HfApi

    info = _ask(
        lambda: HfApi().dataset_info(name, revision=revision, files_metadata=True, timeout=SECONDS),
        name,
        reference,
        "",
        show,
    )
    commit = info.sha or ""
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise CorpusError(f"{reference}: the hub names no commit. Check HF_ENDPOINT: that is hardly a hub.")
    files = []
    for file in info.siblings or []:
        checksum = file.lfs.sha256 if file.lfs else file.blob_id
        files.append(HubFile(file.rfilename, (file.lfs or file).size or 0, checksum or ""))
    return commit, files


def is_cached(name: str, revision: str, file: HubFile) -> bool:
    """Tell whether a file of this very revision lies in the cache."""
    return _cached(name, revision, file) is not None


def _cached(name: str, revision: str, file: HubFile) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, file.path, repo_type="dataset", revision=revision)
    return Path(found) if isinstance(found, str) else None


def fetch(name: str, revision: str, file: HubFile, reference: str, show: Show = print) -> Path:
    """Return a file's place in the cache, once its bytes there are those that are wanted.

    What lies in the cache is used without asking the hub. A copy with other bytes is removed, and fetched
    again once.

    Args:
        name: of the data set.
        revision: the commit (40 digits).
        file: which file, and its size and checksum.
        reference: what the user calls the set: hub:NAME or hub:NAME:CONFIG.
        show: is called with a line whenever something is tried again.

    Returns:
        The local copy, checked a moment ago.

    Raises:
        CorpusError: it cannot be had, or the hub sends other bytes.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url

    what = f"{reference}: {file.path}"
    url = hf_hub_url(name, file.path, repo_type="dataset", revision=revision)

    def download() -> Path:
        # Where the hub does not answer, this fails at once, and hf_hub_download after many tries.
        get_hf_file_metadata(url, timeout=SECONDS)
        return Path(hf_hub_download(name, file.path, repo_type="dataset", revision=revision))

    fault = ""
    for _ in range(2):
        local = _cached(name, revision, file)
        if local is None:
            if fault:
                show(f"{what}: {fault}; it was removed and is fetched again")
            local = _ask(download, name, reference, file.path, show)
        fault = file.fault(local)
        if not fault:
            return local
        if constants.HF_HUB_OFFLINE:
            raise CorpusError(
                f"{what}: the copy in the cache is damaged, {fault}. Unset HF_HUB_OFFLINE to fetch it again."
            )
        for place in (local.resolve(), local):  # the content, and the link that leads there
            place.unlink(missing_ok=True)
    raise CorpusError(
        f"{what}: what the hub sends is not what was recorded, {fault}. Nothing of it was kept. Try again "
        "later or on another network; if it stays so, do not use the set before you know why."
    )


# --- asking, within bounds ---


class _StalledError(Exception):
    """The same request was sent several times, and nothing came of it."""


@contextmanager
def _bounded() -> Iterator[None]:
    """Give the requests of the hub's library time limits, and end its silent repetitions."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import hf_raise_for_status

    asked: Counter[tuple] = Counter()

    def limit(request: Any) -> None:
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), SECONDS)
        request_again = (request.method, str(request.url), request.headers.get("Range"))
        asked[request_again] += 1
        if asked[request_again] > TRIES:
            raise _StalledError("the connection breaks off again and again at the same place")

    def refuse(response: Any) -> None:
        if response.status_code in MAY_PASS:  # or the library would wait here, as long as the server says
            hf_raise_for_status(response)

    session = get_session()
    before = session.event_hooks
    session.event_hooks = {
        "request": [*before["request"], limit],
        "response": [*before["response"], refuse],
    }
    xet = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = True  # the variable of that name has no effect after the import
    try:
        yield
    finally:
        session.event_hooks, constants.HF_HUB_DISABLE_XET = before, xet


def _ask(question: Callable[[], Answer], name: str, reference: str, path: str, show: Show) -> Answer:
    """Ask the hub something, again where that may help."""
    from huggingface_hub import errors

    what = f"{reference}: {path}" if path else reference

    for number in range(1, TRIES + 1):
        try:
            with _bounded():
                return question()
        except Exception as error:  # of the library, of those below it, of the file system
            # "Not in the cache, and the request failed" hides why it failed.
            cause = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error
            if getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise
            why, wait = _explain(cause, name, reference)
            if wait is None or number == TRIES:
                gone = isinstance(cause, errors.RevisionNotFoundError | errors.EntryNotFoundError)
                raise (NotThereError if gone else CorpusError)(f"{what}: {why}") from error
        wait = max(wait, number)
        show(f"{what}: {why.partition('. ')[0]}. Try {number + 1} of {TRIES} follows in {wait} s.")
        time.sleep(wait)
    raise AssertionError("unreachable")


def _explain(error: BaseException, name: str, reference: str) -> tuple[str, int | None]:
    """Say what an error means and what to do; and after how many seconds another try may help, if it may."""
    from huggingface_hub import constants, errors

    place = constants.ENDPOINT
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    first_line = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, errors.OfflineModeIsEnabled):
        return (
            "it is not in the cache, and HF_HUB_OFFLINE is set. Unset it for the first load; after that no "
            "network is needed.",
            None,
        )
    if isinstance(error, errors.HFValidationError):
        return f"no data set can have this name ({first_line}). Check it on the hub.", None
    if isinstance(error, errors.GatedRepoError):
        return (
            f"its owners want their terms accepted first. Do so on {place}/datasets/{name}, then log in: "
            "hf auth login",
            None,
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return (
            "the hub has no such revision (any more). Record the present one: "
            f"python -m helpers pin {reference}",
            None,
        )
    if isinstance(error, errors.EntryNotFoundError):
        return (
            "the hub has no such file in this revision. Record the present files: "
            f"python -m helpers pin {reference}",
            None,
        )
    if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 403, 404):
        return (
            f"the hub has no such data set, or does not show it to you ({status}). Check the name; for a "
            "private set log in first: hf auth login",
            None,
        )
    if status in MAY_PASS and response is not None:
        asked = _wait_asked_for(response.headers)
        if status == 429:
            when = f"in {asked} s" if asked else "later"
            why = f"the hub takes no more requests for now (429). Start again {when}."
        else:
            why = f"the hub has trouble (error {status}). Start again later."
        return why, None if asked > LONGEST_WAIT else asked
    if isinstance(error, _StalledError):
        return f"{error}. Nothing of it was kept: start again, or try another network.", None
    if type(error).__module__.startswith("httpx"):
        reason = f"{type(error).__name__}: {first_line}".rstrip(": ")
        return f"no connection to {place} ({reason}). Check the network, the proxy and HF_ENDPOINT.", 0
    if isinstance(error, OSError) and error.filename:
        return (
            f"it cannot be kept in the cache ({error}). Let HF_HOME name a folder that you may write to.",
            None,
        )
    if isinstance(error, OSError) and "Consistency check failed" in first_line:
        wanted, came = re.findall(r"size (\d+)", first_line) or ("all", "fewer")
        return (
            f"the file was cut short on its way: {came} of {wanted} bytes came. Nothing of it was kept: "
            "start again, or try another network.",
            None,
        )
    return (
        f"the answer of {place} cannot be used ({type(error).__name__}: {first_line}). Check HF_ENDPOINT, "
        "the proxy and the firewall.",
        None,
    )


def _wait_asked_for(headers: Any) -> int:
    """Return the seconds that a server wants its client to wait; 0 if it does not say."""
    after = headers.get("Retry-After", "")
    if after.isdecimal():
        return int(after)
    reset = re.search(r"\br=0;t=(\d+)", headers.get("RateLimit", "").replace(" ", ""))
    return int(reset[1]) if reset else 0
