"""A scripted searcher over given pages, and a scripted OpenAI-compatible server on a loopback port."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ragjp.errors import AccessDenied
from ragjp.types import Hit, Ranking, View

STAFF = View.of("staff")


@dataclass
class Library:
    """Pages by (doc_id, number), all hits in the order given; readable for ``STAFF`` alone. A searcher and a page source."""

    pages: Mapping[tuple[str, int], str]
    titles: Mapping[str, str] = field(default_factory=dict)
    headings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def hits(self) -> tuple[Hit, ...]:
        return tuple(
            Hit(
                doc_id,
                f"{doc_id}#p{page}:0-{len(text)}",
                page,
                0,
                len(text),
                text,
                self.titles.get(doc_id, ""),
                self.headings.get(doc_id, ()),
                1.0 - place / 100,
                {"bm25": 1.0 - place / 100},
            )
            for place, ((doc_id, page), text) in enumerate(self.pages.items())
        )

    def search(self, query: str, *, view: View, k: int) -> Ranking:
        self.asked.append(query)
        return Ranking(query, self.hits()[:k] if view == STAFF else (), 1, {"search": 1.0})

    def page_text(self, doc_id: str, page: int, *, view: View) -> str:
        if view != STAFF or (doc_id, page) not in self.pages:
            raise AccessDenied("その文書はないか、見る権限がありません。")
        return self.pages[doc_id, page]


@pytest.fixture(scope="session")
def library() -> Library:
    return Library(
        {
            (
                "旅費規程.pdf",
                2,
            ): "第5条（日当）\n国内出張の日当は、１日につき２，５００円とする。\n半日の出張には支給しない。",
            (
                "旅費規程.pdf",
                3,
            ): "第7条（宿泊料）\n宿泊料の上限は、甲地で13,000円、乙地で10,000円とする。",
            (
                "車両規程.txt",
                1,
            ): "社用車の予約は、使用する日の前日の17時までに総務課へ申し込む。鍵は総務課の窓口で受け取る。",
        },
        titles={"旅費規程.pdf": "旅費規程", "車両規程.txt": "車両管理規程"},
    )


Reply = Callable[["Script"], None]


class Script(BaseHTTPRequestHandler):
    """One request to the scripted server; the test's function answers it."""

    server: ScriptedServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append((self.path, dict(self.headers.items()), body))
        self.server.reply(self)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def send(self, status: int, content_type: str, body: str, **headers: str) -> None:
        payload = body.encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(payload)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def stream(self, *pieces: str, finish: bool = True) -> None:
        """Answer as a chat model that streams; without ``finish`` the connection is cut in the middle."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        if not finish:
            self.send_header("content-length", "100000")
        self.end_headers()
        for piece in pieces:
            self._event({"choices": [{"index": 0, "delta": {"content": piece}}]})
        if finish:
            self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, values: dict[str, Any]) -> None:
        event = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", **values}
        self.wfile.write(f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode())
        self.wfile.flush()


class ScriptedServer(ThreadingHTTPServer):
    """An OpenAI-compatible server on loopback that answers as the test says and remembers what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Script)
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.reply: Reply = lambda script: script.stream("日当は2,500円です[1]。")

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is part of the script."""


@pytest.fixture
def llm_server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def slowly(seconds: float) -> Reply:
    """Answer nothing for a while."""

    def reply(script: Script) -> None:
        time.sleep(seconds)

    return reply
