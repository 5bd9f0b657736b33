"""What a search may be asked."""

from __future__ import annotations

from ragjp.errors import RequestError

MAX_K = 2048
MAX_QUERY_CHARS = 4000


def check_request(query: str, k: int) -> None:
    """Refuse a query or a number of results that no search can take.

    Raises
    ------
    RequestError
        When the query is empty, too long or no Unicode, or k is out of range.
    """
    if not query.strip():
        raise RequestError("質問が空です。調べたいことばを入力してください。", code="query_empty")
    if len(query) > MAX_QUERY_CHARS:
        raise RequestError(
            f"質問が長すぎます（{len(query)} 文字）。{MAX_QUERY_CHARS} 文字までに縮めてください。",
            code="query_too_long",
        )
    try:
        query.encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            f"質問の {error.start + 1} 文字目が壊れています。入力し直してください。",
            code="query_not_unicode",
        ) from error
    if not 1 <= k <= MAX_K:
        raise RequestError(
            f"件数 {k} は指定できません。1 から {MAX_K} までにしてください。", code="k_out_of_range"
        )
