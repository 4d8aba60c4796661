"""Tells other servers about ended jobs: signed, repeated, and never sent to private addresses.

The format is that of Standard Webhooks (https://www.standardwebhooks.com).
"""

import base64
import hmac
import http.client
import ipaddress
import json
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mien.web.config import WebConfig
from mien.web.errors import ProblemError
from mien.web.store.database import Database, iso, jobs, new_id, now, webhooks
from mien.web.store.jobs import ACTIVE, JobStore

log = logging.getLogger("mien.web")
_TIMEOUT_S = 10.0
# After which attempt how long to wait; results are kept for a day by default.
_WAITS_S = (10, 60, 300, 1_800, 7_200, 21_600)
# Labels between dots; a name or an IPv4 address.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
# The last parts of names that no public DNS has.
_LOCAL_NAMES = {"localhost", "local", "internal", "lan", "home", "intranet"}
# Networks whose addresses contain IPv4 addresses.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class _WebhookError(Exception):
    """A URL that may not get webhooks, or that did not take the message."""


def webhook(
    url: str | None, secret: str | None, config: WebConfig
) -> Callable[[Connection, str], None]:
    """Notes, in the transaction that creates a job, who is notified of its end.

    Raises:
        ProblemError: the URL is not allowed, or only one of the two is given.
    """
    if url is None and secret is None:
        return lambda connection, job_id: None
    if url is None or secret is None:
        raise ProblemError(422, "invalid", "Expected both webhook_url and webhook_secret.")
    try:
        host, port, _, public = _parse(url, config)
        if public:
            _refuse_private(host, port)
    except _WebhookError as error:
        raise ProblemError(422, "invalid", f"The webhook_url is not allowed: {error}.") from None

    def add(connection: Connection, job_id: str) -> None:
        values = {"id": new_id(), "job_id": job_id, "url": url, "secret": secret}
        connection.execute(sa.insert(webhooks).values(**values, attempts=0, due_at=now()))

    return add


def deliver_due(database: Database, config: WebConfig) -> bool:
    """Tell one receiver about its job.

    Returns:
        Whether any was due.
    """
    due = _claim(database)
    if due is None:
        return False
    found = database.rows(sa.select(jobs).where(jobs.c.id == due["job_id"]))
    if not found:
        return True
    (job,) = found
    message = {
        "type": f"job.{job['state']}",
        "timestamp": iso(job["finished_at"] or now()),
        # The same document as from GET /api/v1/jobs/{job_id}.
        "data": JobStore(database).document(job),
    }
    body = json.dumps(message).encode()
    try:
        _post(due["url"], body, _signed_headers(due["id"], due["secret"], body), config)
    except (_WebhookError, OSError, http.client.HTTPException, ValueError) as error:
        log.warning("webhook of job %s: attempt %d: %s", job["id"], due["attempts"], error)
    else:
        database.execute(sa.delete(webhooks).where(webhooks.c.id == due["id"]))
    return True


def _claim(database: Database) -> dict[str, Any] | None:
    """The next message to send; None where none is due.

    The next attempt is noted first, so that a message is sent again if this process is killed. The
    last one is deleted.
    """
    moment = now()
    ended = sa.select(jobs.c.id).where(jobs.c.state.not_in(ACTIVE))
    with database.begin() as connection:
        query = (
            sa.select(webhooks)
            .where(webhooks.c.due_at <= moment, webhooks.c.job_id.in_(ended))
            .order_by(webhooks.c.due_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        row = connection.execute(query).mappings().first()
        if row is None:
            return None
        this = webhooks.c.id == row["id"]
        if row["attempts"] < len(_WAITS_S):
            later = moment + timedelta(seconds=_WAITS_S[row["attempts"]])
            connection.execute(
                sa.update(webhooks).where(this).values(attempts=row["attempts"] + 1, due_at=later)
            )
        else:
            connection.execute(sa.delete(webhooks).where(this))
    return {**row, "attempts": row["attempts"] + 1}


def _signed_headers(message_id: str, secret: str, body: bytes) -> dict[str, str]:
    """The headers with which :func:`mien.client.read_webhook` knows a message as genuine."""
    moment = str(int(time.time()))
    text = f"{message_id}.{moment}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret.encode(), text, "sha256")).decode()
    return {
        "Content-Type": "application/json",
        "User-Agent": "mien",
        "webhook-id": message_id,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{signature}",
    }


def _parse(url: str, config: WebConfig) -> tuple[str, int, bool, bool]:
    """The host, the port, whether to use TLS, and whether its addresses must be public."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _WebhookError("expected a URL such as https://example.org/done") from None
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
        raise _WebhookError("expected a URL such as https://example.org/done, without a password")
    if port == 0 or not (":" in host or _HOST.fullmatch(host)):
        raise _WebhookError(
            f"expected a host such as example.org and a port from 1, got {parts.netloc}"
        )
    # The names of settings have IPv6 addresses in brackets.
    allowed = config.webhook_host(f"[{host}]" if ":" in host else host)
    if allowed is None:
        raise _WebhookError(f"{host} is not one of this server's MIEN_WEBHOOK_HOSTS")
    if allowed == "public" and parts.scheme != "https":
        raise _WebhookError("expected https")
    secure = parts.scheme == "https"
    return host, port or (443 if secure else 80), secure, allowed == "public"


def _refuse_private(host: str, port: int) -> None:
    """Refuse an address that is plainly private; that of a name is checked when a message is sent.

    A name is not asked for here: what DNS says of it may be another answer then.
    """
    name = host.rstrip(".").lower()
    if name.rpartition(".")[2] in _LOCAL_NAMES or "." not in f"{name.replace(':', '.')}":
        raise _WebhookError(f"{host} is a name of a private network")
    try:
        # Also in the spellings of C: 127.1, 0x7f.1.
        found = socket.getaddrinfo(name, port, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return
    if not all(_is_public(str(entry[4][0])) for entry in found):
        raise _WebhookError(f"{host} is an address that is not public")


def _addresses(host: str, port: int, *, public: bool) -> list[str]:
    """The addresses of a host; raises an error if they must be public and one is not."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if public and not all(map(_is_public, addresses)):
        raise _WebhookError(f"{host} has an address that is not public")
    return addresses


def _is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, also one that is inside of another."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(str(inner))
        if found.teredo is not None:
            return False
    return found.is_global and not found.is_multicast


def _post(url: str, body: bytes, headers: dict[str, str], config: WebConfig) -> None:
    """Send a message to the address that was checked, so that another answer of DNS is no use.

    Redirects are not followed, and only a status from 200 to 299 is no error.
    """
    host, port, secure, public = _parse(url, config)
    address = _addresses(host, port, public=public)[0]
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(host, port, timeout=_TIMEOUT_S)
    plain = socket.create_connection((address, port), timeout=_TIMEOUT_S)
    # A receiver that answers one byte at a time is not waited for, either.
    alarm = threading.Timer(_TIMEOUT_S, _break, (plain,))
    alarm.daemon = True
    alarm.start()
    try:
        connection.sock = (
            ssl.create_default_context().wrap_socket(plain, server_hostname=host)
            if secure
            else plain
        )
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, headers)
        status = connection.getresponse().status
    finally:
        alarm.cancel()
        connection.close()
        plain.close()
    if not 200 <= status < 300:
        raise _WebhookError(f"expected a status from 200 to 299, got {status}")


def _break(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
