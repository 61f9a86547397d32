"""The system bus between GLib's thread and asyncio's: the only importer of pydbus and gi.

GLib's loop runs in one daemon thread. Calls go out from asyncio's thread without blocking it (Gio queues them); replies
and signals come in there and are handed over with `call_soon_threadsafe`. Both take the same road, so that what systemd
sent first is dealt with first, a reply included: `then` runs at the reply's place in that order. Awaiting the reply and
acting on it later would act on the past.

No proxies: pydbus would introspect every unit, and unpack 500 properties where a dozen are wanted.
"""

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Self

import pydbus
from gi.repository import Gio, GLib

SYSTEMD: Final = "org.freedesktop.systemd1"
BROKER: Final = "org.freedesktop.DBus"
MANAGER_PATH: Final = "/org/freedesktop/systemd1"
MANAGER: Final = "org.freedesktop.systemd1.Manager"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"

_CALL_TIMEOUT_MS: Final = 25_000  # a daemon-reload keeps systemd from answering while its generators run

type Untyped = Any
"""What comes out of gi and D-Bus: its type is known at run time only."""

type Arguments = tuple[str, tuple[Untyped, ...]]
"""D-Bus signature and values, such as `("(ss)", ("llama@x.service", "replace"))`."""


class BusError(Exception):
    """What came instead of a reply.

    Attributes:
        name: The other side's D-Bus error name; empty for the connection's own errors.
        text: What it says.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}" if name else text)
        self.name = name
        self.text = text


class Bus:
    """One connection to the system bus. Made and used in the loop's thread, where everything is delivered too."""

    def __init__(self, connection: Untyped) -> None:
        self._pydbus = connection
        self._gio = connection.con
        self._loop = asyncio.get_running_loop()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the connection is gone; it stays so."""
        return self._closed

    @classmethod
    async def open(cls, on_close: Callable[[], None]) -> Self:
        """Connect.

        A connection of our own: the process's shared one could not be replaced after the bus was restarted, and by
        default it ends the process then.

        Args:
            on_close: Called when the connection is lost, not for `close()`.

        Raises:
            BusError: The bus is not there.
        """
        _run_glib()
        try:
            address = Gio.dbus_address_get_for_bus_sync(Gio.BusType.SYSTEM, None)
            bus = cls(await asyncio.to_thread(pydbus.connect, address))
        except GLib.Error as error:
            raise _translated(error) from error

        def lost() -> None:
            if not bus.closed:
                bus._closed = True
                on_close()

        bus._gio.connect("closed", lambda *_: bus._hand_over(lost))
        return bus

    def on_signal(
        self,
        sender: str,
        interface: str,
        signal: str,
        deliver: Callable[[tuple[Untyped, ...]], None],
        arg0: str | None = None,
    ) -> None:
        """Call `deliver` with the arguments of each such signal; `arg0`: only where that is its first argument."""

        def tell(arguments: tuple[Untyped, ...]) -> None:
            if not self._closed:
                deliver(arguments)

        self._pydbus.subscribe(
            sender, interface, signal, arg0=arg0, signal_fired=lambda *received: self._hand_over(tell, received[4])
        )

    def on_properties(
        self,
        interface: str,
        name_of: Callable[[str], str],
        properties: Iterable[str],
        deliver: Callable[[str, Mapping[str, Untyped]], None],
    ) -> None:
        """Call `deliver` with the changed properties of one interface, for all of systemd's objects of interest.

        One match for all. Not by pydbus, which would unpack everything, of every mount and device too.

        Args:
            interface: Whose properties, such as `org.freedesktop.systemd1.Unit`.
            name_of: Name of the object at a path, empty if it is of no interest. Runs in GLib's thread.
            properties: Which properties; a change without one of them is delivered too.
            deliver: Called with the object's name and the changed properties.
        """
        wanted = tuple(properties)

        def tell(name: str, changed: Mapping[str, Untyped]) -> None:
            if not self._closed:
                deliver(name, changed)

        def received(*signal: Untyped) -> None:
            _, _, path, _, _, arguments = signal
            if name := name_of(path):
                self._hand_over(tell, name, pick(arguments.get_child_value(1), wanted))

        self._gio.signal_subscribe(
            SYSTEMD, PROPERTIES, "PropertiesChanged", None, interface, Gio.DBusSignalFlags.NONE, received
        )

    def call[T](
        self, path: str, interface: str, method: str, arguments: Arguments, then: Callable[[Untyped], T]
    ) -> asyncio.Future[T]:
        """Call systemd, at once; to be awaited, or left to `then`.

        Args:
            path: Object.
            interface: Interface of the method.
            method: Its name.
            arguments: Its arguments.
            then: Turns the reply (a `GLib.Variant`) into the result, in order with the signals.

        Raises:
            BusError: What came instead of a reply.
        """
        result: asyncio.Future[T] = self._loop.create_future()

        def replied(reply: Untyped) -> None:
            if result.done():
                return
            try:
                result.set_result(then(reply))
            except Exception as error:  # noqa: BLE001 (whoever waits has to know)
                result.set_exception(error)

        def refused(error: BusError) -> None:
            if not result.done():
                result.set_exception(error)

        def finished(connection: Untyped, outcome: Untyped, *_: Untyped) -> None:
            try:
                self._hand_over(replied, connection.call_finish(outcome))
            except GLib.Error as error:
                self._hand_over(refused, _translated(error))

        self._gio.call(
            SYSTEMD, path, interface, method, GLib.Variant(*arguments), None, Gio.DBusCallFlags.NONE, _CALL_TIMEOUT_MS,
            None, finished,
        )  # fmt: skip
        return result

    def close(self) -> None:
        """Close the connection: no signal is delivered any more, and calls under way fail."""
        self._closed = True
        self._gio.close(None, None)

    def _hand_over(self, deliver: Callable[..., None], *arguments: Untyped) -> None:
        """From GLib's thread to the loop's."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to hear of it
            self._loop.call_soon_threadsafe(deliver, *arguments)


def pick(properties: Untyped, wanted: Iterable[str]) -> dict[str, Untyped]:
    """The wanted ones of the properties in a `GLib.Variant` of type `a{sv}`: unpacking all takes 30 times as long."""
    found = ((name, properties.lookup_value(name, None)) for name in wanted)
    return {name: value.unpack() for name, value in found if value is not None}


@functools.cache
def _run_glib() -> threading.Thread:
    """Run GLib's default loop, once per process: what is called from threads without a loop of GLib's answers there."""
    loop = GLib.MainLoop()
    run = super(
        GLib.MainLoop, loop
    ).run  # GLib's own: PyGObject's sets up asyncio and SIGINT for programs that live in it
    thread = threading.Thread(target=run, name="glib", daemon=True)
    thread.start()
    return thread


def _translated(error: Untyped) -> BusError:
    name = Gio.DBusError.get_remote_error(error) or ""
    return BusError(name, error.message.removeprefix(f"GDBus.Error:{name}: "))
