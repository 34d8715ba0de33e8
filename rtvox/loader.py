"""Loader: put another model in place of the one in use, while that sounds.

In: a model's name, path or chain. Out: its chain, built and warmed in a loading thread, one at a time, handed over in
`Mixer.pending` and cross-faded there; the old one is freed here. A failure changes nothing. Any thread may call `load`
and `restructure`. Read next: `chain.py`, which builds; `mixer.py`, which cross-fades.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from rtvox.chain import Chain, build_chain
from rtvox.errors import RtvoxError
from rtvox.features import FeatureSpec
from rtvox.keeper import Keeper
from rtvox.mixer import Mixer
from rtvox.priority import CONTROL_PRIORITY, raise_priority
from rtvox.providers import Provider
from rtvox.realtime import give_back
from rtvox.synthesis import STRUCTURAL, wanted_synthesis

Model = str | os.PathLike[str] | Chain | None  # a name, a path, a chain made elsewhere, or no model

SWAP_TIMEOUT_S = 5.0  # a swap takes 16 hops, 85 ms; a device that stands still may never ask for them


class Loader:
    """Loading threads for one mixer.

    Single writers: `error` and what was loaded last belong to the loading thread that has its turn.

    Attributes:
        error: why the last model could not be used, or empty.
    """

    def __init__(self, mixer: Mixer, keeper: Keeper, spec: FeatureSpec, provider: Provider) -> None:
        self.error = ""
        self._mixer, self._keeper, self._spec, self._provider = mixer, keeper, spec, provider
        self._turn = threading.Lock()
        self._model: Model = None  # what the chain in use was built from
        self._structure = {name: mixer.params[name] for name in STRUCTURAL}  # and with what
        self._restructuring = False  # a loading thread waits to look at the controls: it will see later changes, too

    def load(self, model: Model, *, wait: bool = True) -> None:
        """Put a model in place of the one in use. Raises (with wait): RtvoxError; else it shows in `error`."""
        self._in_thread(model, lambda: self._load(model), wait=wait)

    def restructure(self, *, wait: bool) -> None:
        """Load the model in use once more if its chain is not as the controls want it; otherwise as `load`.

        If that fails, the controls that wanted it go back to what they were.
        """
        if not self._restructuring:
            self._restructuring = True
            self._in_thread(self._model, self._restructure, wait=wait)

    def _in_thread(self, model: Model, load: Callable[[], None], *, wait: bool) -> None:
        failure: list[RtvoxError] = []

        def run() -> None:
            if self._keeper.state == "running":
                raise_priority(CONTROL_PRIORITY)
            with self._turn:
                before = self._mixer.chain
                try:
                    load()
                except Exception as error:  # also our own mistakes: the sound goes on with the model in use
                    self._mixer.params.join(before.controls)
                    failure.append(error if isinstance(error, RtvoxError) else RtvoxError(f"model {model}: {error!r}"))
                    self.error = str(failure[0])

        thread = threading.Thread(target=run, name="rtvox-load", daemon=True)
        thread.start()
        if wait:
            thread.join()
            if failure:
                raise failure[0]

    def _load(self, model: Model) -> None:
        """Build, warm and hand over."""
        params = self._mixer.params
        settings = params.values()
        chain = model if isinstance(model, Chain) else build_chain(model, self._spec, self._provider, settings)
        params.join(chain.controls)
        chain.warm_up()
        chain.settle(params)
        self._hand_over(chain)
        self._model, self.error = model, ""
        self._structure = {name: settings[name] for name in STRUCTURAL}

    def _restructure(self) -> None:
        self._restructuring = False  # before the controls are read
        model, chain, params = self._model, self._mixer.chain, self._mixer.params
        settings = params.values()
        if not isinstance(model, Chain) and chain.synthesis != wanted_synthesis(chain.manifest, settings):
            try:
                self._load(model)
            except Exception:
                for name, before in self._structure.items():
                    if params[name] == settings[name]:  # unless it was asked for something else meanwhile
                        params.set(name, before)
                raise

    def _hand_over(self, chain: Chain) -> None:
        """Make it the chain in use: at once if no sound runs, else through the mixer; return when that is done."""
        mixer = self._mixer
        with self._keeper.lock:
            if self._keeper.state != "running":
                mixer.put(chain)
                self._keeper.renew()
                return
            mixer.error = ""
            mixer.pending = chain
        deadline = time.monotonic() + SWAP_TIMEOUT_S
        while mixer.chain is not chain and time.monotonic() < deadline:
            if mixer.pending is not chain and mixer.incoming is not chain and mixer.chain is not chain:
                raise RtvoxError(f"{mixer.error}; the model in use stays")
            time.sleep(0.005)
        mixer.retired.clear()
        give_back()
