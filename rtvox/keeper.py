"""Keeper: one device and the converter that serves it: opened, closed, exchanged, and brought back when it is lost.

Threads: `start`, `stop`, `use` and `renew` may be called by any, and take `lock`. Two threads are its own while it
runs: the converter's (for a device in real time; another one converts after each callback), and the keeper's, which
waits for the device to be lost, then closes and reopens it until that works. Read next: `converter.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from rtvox import realtime
from rtvox.converter import Converter
from rtvox.device import Device
from rtvox.errors import DeviceError, RtvoxError
from rtvox.priority import CONTROL_PRIORITY, raise_priority

RETRY_S = 1.0  # between attempts to reopen a lost device


class Keeper:
    """A device with its converter.

    Single writers: whoever holds `lock` writes all of it, except that a device's own thread sets `error` when it is
    lost. Others may read.

    Attributes:
        lock: to hold while changing who runs; may be taken again by the thread that has it.
        device, converter: in use.
        state: "stopped", "running" or "device lost".
        error: why the device is lost, or empty.
    """

    def __init__(self, device: Device, make_converter: Callable[[Device], Converter]) -> None:
        """Take a stopped device; `make_converter` is called for each run, and may raise ParameterError."""
        self.lock = threading.RLock()
        self.device, self._make_converter = device, make_converter
        self.converter = make_converter(device)
        self.state, self.error = "stopped", ""
        self._attention, self._stopping = threading.Event(), False
        self._converting: threading.Thread | None = None
        self._keeping: threading.Thread | None = None

    def start(self) -> None:
        """Open the device and convert; return when sound runs. Raises: DeviceError, and stays stopped."""
        with self.lock:
            self.error = ""
            self._attention.clear()
            self._stopping = False
            self._open()
            self._keeping = threading.Thread(target=self._keep, name="rtvox-keeper", daemon=True)
            self._keeping.start()

    def stop(self) -> bool:
        """Close the device; return whether it was open, or lost."""
        with self.lock:
            keeping, self._keeping = self._keeping, None
            if not keeping:
                return False
            self._stopping = True
            self._attention.set()
        keeping.join()
        with self.lock:
            self._close()
            self.state = "stopped"
        return True

    def renew(self) -> None:
        """Make the converter anew, for another chain. While no sound runs."""
        self.converter = self._make_converter(self.device)

    def use(self, open_device: Callable[[], Device]) -> None:
        """Go on with another device. If it does not work, the old one is used again, and nothing has changed.

        It is opened beside the old one while that plays; only if this fails, as where both want the same card, the old
        one is closed first. Raises: DeviceError or ParameterError from the new device.
        """
        with self.lock:
            try:
                device = open_device()
            except DeviceError:
                if self.state == "stopped":
                    raise
                self._close()
                try:
                    device = open_device()
                except RtvoxError:
                    self._reopen()
                    raise
            self._close()
            old, self.device = self.device, device
            try:
                if self.state == "stopped":
                    self.renew()
                else:
                    self._attention.clear()
                    self._open()
                    self.error = ""
            except RtvoxError:
                device.stop()
                self.device = old
                self._reopen()
                raise

    def _open(self) -> None:
        """Build the converter for the device as it is now, and start both. Under `lock`."""
        self.renew()
        callback = self.converter.player.callback
        if self.device.realtime:
            self._converting = threading.Thread(target=self.converter.run, name="rtvox-converter", daemon=True)
            self._converting.start()
        else:
            callback = self.converter.callback_and_convert
        try:
            self.device.start(callback, self._on_lost)
        except BaseException:
            self._close()
            raise
        self.state = "running"

    def _reopen(self) -> None:
        """Start the device again that had to make room. Under `lock`."""
        try:
            if self.state == "stopped":
                self.renew()
            else:
                self._open()
        except RtvoxError as error:
            self._on_lost(error)

    def _close(self) -> None:
        """Stop the device and the converter thread. Under `lock`."""
        self.device.stop()
        self.converter.active = False
        if self._converting:
            self._converting.join()
            self._converting = None

    def _on_lost(self, error: Exception) -> None:
        self.error = f"device lost: {error}"
        self._attention.set()

    def _keep(self) -> None:
        """Run the keeper thread: close and reopen a lost device until it works."""
        raise_priority(CONTROL_PRIORITY)  # it sleeps while sound runs; then there is silence until it is done
        while self._attention.wait() and not self._stopping:
            self._attention.clear()
            with self.lock:
                self.state = "device lost"
                self._close()
                realtime.collect()
            while self.state == "device lost" and not self._attention.wait(RETRY_S):
                with self.lock:
                    try:
                        self._open()
                        self.error = ""
                    except Exception as error:  # whatever a driver raises: try again
                        self.error = f"device lost: {error}"
