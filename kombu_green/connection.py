"""A connection to a broker: opened at its first use, and the factory of channels, producers, consumers and pools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar

import gevent
from gevent.lock import RLock

from kombu_green.channel import Channel
from kombu_green.clock import Deadline, deadline_scope
from kombu_green.entity import Queue
from kombu_green.exceptions import (
    ChannelError,
    ChannelLimitExceeded,
    ConnectionLimitExceeded,
    ConnectionLost,
    EnsureExhausted,
    UnsupportedOption,
)
from kombu_green.green.fork import forks
from kombu_green.messaging import Callback, Consumer, Producer
from kombu_green.resource import Resource
from kombu_green.retry import linear, retry_call
from kombu_green.simple import SimpleBuffer, SimpleQueue
from kombu_green.transport.contract import Transport
from kombu_green.transport.schemes import Opener, opener, opener_by_name
from kombu_green.url import BrokerURL, split_urls

__all__ = ["BrokerConnection", "Connection"]

T = TypeVar("T")

_DEFAULT_TRANSPORT: Final = "amqp"


class Connection:
    """One connection, opened when it is first needed.

    *hostname* is a host, a URL (``memory://``, ``sqla+sqlite:///file.db``, ``amqp://user:password@host:port/vhost``),
    or several URLs separated by ``;``: when one cannot be reached the next is tried, and the one that answers is kept.
    Parts given beside a URL fill what it leaves out.  Any greenlet may use it at any time.  It pickles as its
    parameters, never as a socket.

    *answer_timeout*: seconds after which whatever waits for the broker without progress, and without a sooner deadline
    of its own, raises ``TimeoutError`` or :exc:`~kombu_green.exceptions.BrokerBlocked`; 30 unless given.  On SQLite a
    call that waits for another program's lock raises :exc:`~kombu_green.exceptions.ConnectionLost` then.
    """

    #: errors after which connecting again makes sense
    connection_errors: tuple[type[Exception], ...] = (ConnectionLost,)
    #: errors that end one operation and leave the connection usable
    channel_errors: tuple[type[Exception], ...] = (ChannelError,)
    recoverable_connection_errors = connection_errors
    recoverable_channel_errors = channel_errors

    def __init__(
        self,
        hostname: str | Sequence[str] = "localhost",
        userid: str | None = None,
        password: str | None = None,
        virtual_host: str | None = None,
        port: int | None = None,
        insist: bool = False,
        ssl: Any = False,
        transport: str | None = None,
        connect_timeout: float | None = 5,
        backend_cls: str | None = None,
        *,
        transport_options: Mapping[str, Any] | None = None,
        heartbeat: float | None = None,
        answer_timeout: float | None = None,
    ) -> None:
        self.connect_timeout = connect_timeout
        if ssl:
            raise UnsupportedOption(
                f"ssl = {ssl!r}: kombu_green has no TLS yet, and does not go on in plain text instead;"
                " connect to a tunnel (stunnel, haproxy) on this machine"
            )
        self.ssl = ssl
        self.heartbeat = heartbeat
        self.answer_timeout = answer_timeout
        self.transport_options = dict(transport_options or {})
        self._given = (hostname, userid, password, virtual_host, port, transport or backend_cls)
        self.brokers: Final = _brokers(*self._given)
        self._turn = 0
        self._transport: Transport | None = None
        self._default_channel: Channel | None = None
        self._opening = RLock()
        self._give_back: Callable[[], None] | None = None
        forks.add(self)

    def after_fork(self) -> None:
        """In the child of a fork it is as new: its first use connects.  The parent's connection is left alone."""
        forks.keep((self._transport, self._default_channel))
        self._transport = self._default_channel = None
        self._opening = RLock()

    # -- what it is

    @property
    def broker(self) -> BrokerURL:
        """The broker it is connected to, or the next one it would try."""
        return self.brokers[self._turn % len(self.brokers)]

    @property
    def hostname(self) -> str | None:
        return self.broker.hostname

    @property
    def userid(self) -> str | None:
        return self.broker.userid

    @property
    def password(self) -> str | None:
        return self.broker.password

    @property
    def virtual_host(self) -> str:
        return self.broker.virtual_host or "/"

    @property
    def port(self) -> int | None:
        return self.broker.port

    @property
    def host(self) -> str:
        """``host:port``."""
        port = f":{self.port}" if self.port else ""
        return f"{self.hostname or ''}{port}"

    def as_uri(self, include_password: bool = False) -> str:
        """The URL, its password masked unless asked for."""
        return self.broker.unmasked() if include_password else str(self.broker)

    def info(self) -> dict[str, Any]:
        """The parameters by kombu's names; the password is not among them."""
        return {
            "hostname": self.hostname,
            "userid": self.userid,
            "virtual_host": self.virtual_host,
            "port": self.port,
            "ssl": self.ssl,
            "transport": self.broker.scheme,
            "connect_timeout": self.connect_timeout,
            "transport_options": dict(self.transport_options),
            "heartbeat": self.heartbeat,
            "answer_timeout": self.answer_timeout,
        }

    # -- life

    def connect(self) -> Transport:
        """Connect unless it is connected; returns the transport."""
        with self._one_at_a_time():
            if self._transport is None or not self._transport.connected:
                lost, self._transport, self._default_channel = self._transport, None, None
                if lost is not None:
                    lost.close()  # so that it lets go of what it has
                self._transport = self._reach()
            return self._transport

    def _reach(self) -> Transport:
        """Connect to the first broker that answers, each within ``connect_timeout``; begins with the last that did."""
        tries = len(self.brokers)
        latest = Deadline.current()
        while True:
            transport = self.create_transport()
            try:
                transport.connect(Deadline.after(self.connect_timeout).soonest(latest))
            except (ConnectionLost, TimeoutError):
                self._turn += 1
                tries -= 1
                if not tries or latest.expired:
                    raise
            else:
                return transport

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        if not self._opening.acquire(timeout=Deadline.current().remaining()):
            raise TimeoutError(f"{self.as_uri()}: the deadline passed while another greenlet was connecting")
        try:
            yield
        finally:
            self._opening.release()

    @property
    def connection(self) -> Transport:
        """The open transport; connects."""
        return self.connect()

    @property
    def transport(self) -> Transport:
        """The transport in use, or a new one that is not connected yet."""
        return self._transport or self.create_transport()

    @property
    def connected(self) -> bool:
        return self._transport is not None and self._transport.connected

    def create_transport(self) -> Transport:
        """A new transport for :attr:`broker`, not connected."""
        options = {**self.broker.options, **self.transport_options}
        if self.heartbeat is not None:
            options.setdefault("heartbeat", self.heartbeat)
        if self.answer_timeout is not None:
            options.setdefault("answer_timeout", self.answer_timeout)
        return self._opener()(self.broker, options)

    def get_transport_cls(self) -> Callable[..., Transport]:
        """The function that makes this scheme's transports."""
        return self._opener()

    def _opener(self) -> Opener:
        scheme = self.broker.scheme
        return opener_by_name(scheme) if scheme == self._given[-1] else opener(scheme)

    def channel(self) -> Channel:
        """A new channel; connects."""
        return self.connect().create_channel()

    @property
    def default_channel(self) -> Channel:
        """A channel that is opened at the first access and kept; connects."""
        with self._one_at_a_time():
            if self._default_channel is None or not self._default_channel.is_open:
                self._default_channel = self.channel()
            return self._default_channel

    def drain_events(self, timeout: float | None = None) -> None:
        """Hand one message to its consumer.

        ``TimeoutError`` if none came within *timeout* seconds of wall clock; 0 polls once, None waits.  It connects
        before that, within ``connect_timeout``, so a loop with short timeouts gets connected, too.
        """
        transport = self._transport
        if transport is None or not transport.connected:
            transport = self.connect()
        transport.drain_events(Deadline.after(timeout))

    def close(self) -> None:
        """Close it with its channels; what was delivered and not settled goes back to its queue."""
        transport, self._transport, self._default_channel = self._transport, None, None
        if transport is not None:
            transport.close()

    def release(self) -> None:
        """Back to the pool it came from, or closed."""
        if self._give_back is None:
            self.close()
        else:
            self._give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    # -- trying again

    def ensure_connection(
        self,
        errback: Callable[[Exception, float], object] | None = None,
        max_retries: int | None = None,
        interval_start: float = 2,
        interval_step: float = 2,
        interval_max: float = 30,
    ) -> Self:
        """Connect, with up to *max_retries* further attempts (None: without limit); then the last error is raised.

        *errback* gets each error and the seconds until the next attempt.
        """
        retry_call(
            self.connect,
            self.connection_errors,
            intervals=linear(interval_start, interval_step, interval_max),
            sleep=gevent.sleep,
            max_retries=max_retries,
            errback=errback,
        )
        return self

    def ensure(
        self,
        obj: Any,
        fun: Callable[..., T],
        errback: Callable[[Exception, float], object] | None = None,
        max_retries: int | None = None,
        interval_start: float = 1,
        interval_step: float = 1,
        interval_max: float = 1,
    ) -> Callable[..., T]:
        """*fun* wrapped: after a lost connection, connect again, revive *obj* on a new channel, and repeat the call.

        After *max_retries* repetitions :exc:`~kombu_green.exceptions.EnsureExhausted` is raised from the last error.
        """

        def ensured(*args: Any, **kwargs: Any) -> T:
            fresh = True

            def attempt() -> T:
                nonlocal fresh
                if not fresh:
                    obj.revive(self.channel())
                fresh = False
                return fun(*args, **kwargs)

            try:
                return retry_call(
                    attempt,
                    self.connection_errors,
                    intervals=linear(interval_start, interval_step, interval_max),
                    sleep=gevent.sleep,
                    max_retries=max_retries,
                    errback=errback,
                )
            except self.connection_errors as error:
                raise EnsureExhausted(f"{obj!r}: {max_retries} repetitions failed: {error}") from error

        return ensured

    # -- what is made from it

    def Producer(self, *args: Any, **kwargs: Any) -> Producer:
        """A producer on the default channel, opened at its first use; arguments as :class:`Producer` has them."""
        return Producer(self, *args, **kwargs)

    def Consumer(
        self, queues: Queue | Sequence[Queue] = (), callbacks: Iterable[Callback] | None = None, **kwargs: Any
    ) -> Consumer:
        """A consumer on the default channel; arguments as :class:`Consumer` has them."""
        return Consumer(self, queues, callbacks=callbacks, **kwargs)

    def SimpleQueue(self, name: str | Queue, no_ack: bool | None = None, **kwargs: Any) -> SimpleQueue:
        return SimpleQueue(self, name, no_ack, **kwargs)

    def SimpleBuffer(self, name: str | Queue, no_ack: bool | None = None, **kwargs: Any) -> SimpleBuffer:
        return SimpleBuffer(self, name, no_ack, **kwargs)

    def Pool(self, limit: int | None = None, preload: int | None = None) -> Resource[Connection]:
        """A pool of at most *limit* connections like this one; *preload* of them are connected now."""
        pool: Resource[Connection] = Resource(
            limit,
            create=lambda deadline: self.clone(),
            close=Connection.close,
            lend=_lend,
            exhausted=ConnectionLimitExceeded,
            name="connections",
        )
        pool.preload(preload or 0)
        return pool

    def ChannelPool(self, limit: int | None = None, preload: int | None = None) -> Resource[Channel]:
        """A pool of at most *limit* channels on this connection; give them back with the pool's ``release``."""
        pool: Resource[Channel] = Resource(
            limit,
            create=self._channel_by,
            close=lambda channel: channel.close(),
            exhausted=ChannelLimitExceeded,
            name="channels",
        )
        pool.preload(preload or 0)
        return pool

    def _channel_by(self, deadline: Deadline) -> Channel:
        with deadline_scope(deadline):
            return self.channel()

    def clone(self, **changes: Any) -> Self:
        """A new connection with the same parameters, not connected."""
        return type(self)(**{**self._parameters(), **changes})

    def _parameters(self) -> dict[str, Any]:
        hostname, userid, password, virtual_host, port, transport = self._given
        return {
            "hostname": hostname,
            "userid": userid,
            "password": password,
            "virtual_host": virtual_host,
            "port": port,
            "transport": transport,
            "ssl": self.ssl,
            "connect_timeout": self.connect_timeout,
            "transport_options": self.transport_options,
            "heartbeat": self.heartbeat,
            "answer_timeout": self.answer_timeout,
        }

    def __copy__(self) -> Self:
        return self.clone()

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_parameters, (type(self), self._parameters())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Connection) and self._parameters() == other._parameters()

    def __hash__(self) -> int:
        return hash(self.brokers)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.as_uri()} {'connected' if self.connected else 'not connected'}>"


class BrokerConnection(Connection):
    """kombu 0.9.6's name for :class:`Connection`."""


def _lend(connection: Connection, give_back: Callable[[], None]) -> None:
    connection._give_back = give_back


def _from_parameters(cls: type[Connection], parameters: dict[str, Any]) -> Connection:
    return cls(**parameters)


def _brokers(
    hostname: str | Sequence[str],
    userid: str | None,
    password: str | None,
    virtual_host: str | None,
    port: int | None,
    transport: str | None,
) -> tuple[BrokerURL, ...]:
    """The URLs in *hostname*, each with what it leaves out filled from the other arguments."""
    texts = split_urls(hostname) if isinstance(hostname, str) else list(hostname)
    found = []
    for text in texts or ["localhost"]:
        given = BrokerURL.parse(text) if "://" in text else BrokerURL(transport or _DEFAULT_TRANSPORT, hostname=text)
        found.append(
            given.replace(
                userid=given.userid or userid,
                password=given.password or password,
                virtual_host=given.virtual_host or virtual_host,
                port=given.port or port,
            )
        )
    return tuple(found)
