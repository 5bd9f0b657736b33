"""The LLM server must stand inside this network: the check that passages are not sent out of the building."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ragjp.errors import RecipeError

Resolve = Callable[[str], Sequence[str]]

#: Loopback, RFC 1918, link-local and unique local addresses (RFC 4193), and the two "this host" addresses that servers print.
INSIDE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/32",
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::/128",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)


def addresses_of(host: str) -> list[str]:
    """Ask the operating system for the addresses of a name; none when it does not know it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return sorted({str(entry[4][0]) for entry in found})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of an LLM server, and the rule for where it may be.

    ``own_networks`` are ranges outside the private ones that the operator calls the company's own.
    """

    url: str
    host: str
    own_networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    def check(self, *, host: str | None = None, resolve: Resolve = addresses_of) -> None:
        """Refuse a host with any address outside this network. Called when the recipe is read and before every request.

        A name that has no address passes: nothing can be sent to it, and connecting will say that nobody is there.

        Raises
        ------
        RecipeError
            ``endpoint_public``.
        """
        asked = self.host if host is None else host
        for address in [asked] if _is_address(asked) else resolve(asked):
            if not self._inside(address):
                raise RecipeError(
                    f"LLM の接続先 {self.url} は社外のアドレス（{asked} → {address}）です。文書を社外に送らないため接続しません。"
                    "社内のサーバーを指定するか、自社の範囲なら answer.own_networks に書いてください。",
                    code="endpoint_public",
                )

    def _inside(self, address: str) -> bool:
        ip = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        return any(
            ip.version == network.version and ip in network
            for network in (*INSIDE, *self.own_networks)
        )


def parse_endpoint(url: str, own_networks: Sequence[str] = ()) -> Endpoint:
    """Read the base URL of an OpenAI-compatible server.

    Raises
    ------
    RecipeError
        ``endpoint_bad`` when it is not an http(s) URL with a host, or a network is not in CIDR form.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"}:
        raise RecipeError(
            f"LLM の接続先「{url}」が正しくありません。http://ホスト:ポート/v1 の形で書いてください。",
            code="endpoint_bad",
        )
    try:
        networks = tuple(ipaddress.ip_network(network) for network in own_networks)
    except ValueError as error:
        raise RecipeError(
            f"answer.own_networks の書き方が正しくありません（{error}）。203.0.113.0/24 の形で書いてください。",
            code="endpoint_bad",
        ) from error
    return Endpoint(url=url, host=host, own_networks=networks)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
