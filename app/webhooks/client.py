"""Sends one POST to a configured URL: no redirects, no private addresses unless allowed, short timeouts.

The host is resolved once and that address is connected to, so that the name cannot point elsewhere between the check
and the connection.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
from urllib.parse import urlsplit

TIMEOUT_S = 10.0  # to connect, and for each read
MAX_ANSWER_BYTES = 500  # of an error response, for the log
NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotDelivered(Exception):
    """The reason, as a sentence without the URL."""


def post(url: str, body: bytes, *, may_be_private: bool) -> int:
    """Returns the status, always 2xx. Raises NotDelivered."""
    parts = urlsplit(url)
    host, is_https = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_https else 80)
    kind = http.client.HTTPSConnection if is_https else http.client.HTTPConnection
    connection = kind(host, port, timeout=TIMEOUT_S)
    try:
        with socket.create_connection((_resolve(host, port, may_be_private), port), TIMEOUT_S) as raw_socket:
            connection.sock = (
                ssl.create_default_context().wrap_socket(raw_socket, server_hostname=host) if is_https else raw_socket
            )
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {"Content-Type": "application/json", "User-Agent": "Pitwall", "Connection": "close"}
            connection.request("POST", target, body, headers)
            with contextlib.closing(connection), connection.getresponse() as answer:
                text = answer.read(MAX_ANSWER_BYTES).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise NotDelivered(f"no answer: {_describe_error(error)}") from error
    if 300 <= answer.status < 400:
        raise NotDelivered(f"it answered {answer.status}: a redirect, which is not followed")
    if not 200 <= answer.status < 300:
        raise NotDelivered(f"it answered {answer.status}{f': {text}' if text else ''}")
    return answer.status


def _resolve(host: str, port: int, may_be_private: bool) -> str:
    """The address to connect to. All addresses of the host must be public: its owner decides which comes first."""
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for one in found:
        if not may_be_private and not _is_public(ipaddress.ip_address(one.partition("%")[0])):
            raise NotDelivered("its host is a private address: PITWALL_WEBHOOKS_PRIVATE=true allows those")
    return found[0]


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(inner)
    return address.is_global and not address.is_multicast


def _describe_error(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no data for {TIMEOUT_S:g} seconds"
    if isinstance(error, socket.gaierror):
        return "its host name cannot be resolved"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message})"
    return str(error) or type(error).__name__
