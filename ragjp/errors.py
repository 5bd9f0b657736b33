"""The family of errors that ragjp raises.

Library code raises one of these and never prints. Each carries one sentence for the person who asked (in Japanese: what is
wrong, where, and what to do next) and a reason code for scripts and reports.
"""

from __future__ import annotations

from typing import ClassVar


class RagjpError(Exception):
    """The root of the family.

    Parameters
    ----------
    sentence
        One sentence in Japanese: what happened, where, what to do next. Line ends in what it quotes (SQLite shows whole
        statements) become blanks: scripts read one line.
    code
        A stable reason code in lower snake case, such as ``encoding_unknown``. Defaults to the class's own.
    """

    default_code: ClassVar[str] = "failed"
    #: What ``ragjp`` on the command line exits with: 1 the work failed, 2 the request was wrong, 4 another process is at work.
    exit_code: ClassVar[int] = 1

    def __init__(self, sentence: str, *, code: str | None = None) -> None:
        self.sentence = " ".join(filter(None, map(str.strip, sentence.splitlines())))
        super().__init__(self.sentence)
        self.code = code or self.default_code


class RequestError(RagjpError):
    """What was asked cannot be done as asked: a missing file, a wrong option, an unknown name."""

    default_code = "bad_request"
    exit_code = 2


class RecipeError(RequestError):
    """A recipe that cannot be read, or that says something impossible."""

    default_code = "bad_recipe"


class ModelUnknown(RequestError):
    """An encoder that is neither bundled, nor a folder on this machine, nor in the local model cache."""

    default_code = "model_unknown"


class IndexMissing(RequestError):
    """There is no index at this path."""

    default_code = "index_missing"


class IndexMismatch(RequestError):
    """The index was built with another dictionary, folding, encoder or format than this program would search it with."""

    default_code = "index_mismatch"


class IndexCorrupt(RagjpError):
    """A file of the index is missing, has another checksum than the catalog says, or contradicts another."""

    default_code = "index_corrupt"


class IndexUnreadable(RagjpError):
    """The index may be sound, but this user, at this moment, cannot read it: permissions, a lock, a full disk."""

    default_code = "index_unreadable"


class StorageFailed(RagjpError):
    """The disk refused to read or write: full, broken, read-only, or too many open files. The index is as it was before."""

    default_code = "io_failed"


class IndexLocked(RagjpError):
    """Another process is writing to this index. Its own exit code: a scheduler tries again, and wakes nobody."""

    default_code = "index_locked"
    exit_code = 4


class DocumentError(RagjpError):
    """One document cannot be read. The rest of the batch goes on."""

    default_code = "document_unreadable"


class MissingExtra(RagjpError):
    """An optional package is not installed; the sentence names the extra to install."""

    default_code = "missing_extra"


class DeviceUnavailable(RagjpError):
    """A GPU was asked for by name and there is none to use."""

    default_code = "device_unavailable"


class DeviceBusy(RagjpError):
    """More is waiting for the GPU than may wait, or it took longer than the asker had. Asking again later may work."""

    default_code = "device_busy"


class DeviceMemoryFull(RagjpError):
    """The GPU's memory, or the share of it that ragjp may take, has no room for this. The CPU gives the same answer."""

    default_code = "device_memory_full"


class LLMError(RagjpError):
    """The configured LLM server is down, slow, or answered with something that is not an answer."""

    default_code = "llm_failed"


class AccessDenied(RagjpError):
    """The view does not allow this document. Says nothing about whether the document exists."""

    default_code = "access_denied"
