"""The OSC server: what each command does and answers, who is told, and what a flood does to sound and memory."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fuzzing import flood, tcp_flood
from playing import HOP, RATE, made, wait_for
from steering import STEP, Ear, growth, largest_step, latency, served, sweep

from rtvox.engine import Engine
from rtvox.errors import DeviceError, OscError
from rtvox.features import log_mel
from rtvox.file_device import FileDevice, PushDevice
from rtvox.osc import OscClient, bundle, decode, encode, slip
from rtvox.osc_commands import Commands
from rtvox.osc_server import MAX_CONNECTIONS, OscServer
from rtvox.osc_tree import COMMANDS, LISTS, STATE, STATUS, STREAMS, param_addresses
from rtvox.params import PARAMS, Switch
from rtvox.presets import DeviceChoice
from rtvox.session import Session


class Stage:
    """An engine, its server, and a client that remembers."""

    def __init__(self, session: Session, server: OscServer, client: OscClient, ear: Ear) -> None:
        self.session, self.server, self.client, self.ear = session, server, client, ear
        self.engine, self.port = session.engine, server.port

    def value(self, name: str) -> float:
        return self.engine.params.get(name)

    def hears(self, address: str, *values: object) -> None:
        wait_for(lambda: list(values) in self.ear.all(address))

    def settled(self) -> None:
        """Return when all that was sent has been done."""
        count = len(self.ear.all("/rtvox/synced"))
        self.client.send("/rtvox/sync", 7)
        wait_for(lambda: len(self.ear.all("/rtvox/synced")) > count)


@pytest.fixture
def folders(full_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose only model is `full`, with a control `depth`."""
    for module in ("model_file", "report", "session"):
        monkeypatch.setattr(f"rtvox.{module}.model_folders", lambda: [full_model_path.parent])
    return full_model_path.parent


@pytest.fixture
def stage(folders: Path) -> Iterator[Stage]:
    ear = Ear()
    with (
        Engine(PushDevice(RATE, 128)) as engine,
        served(engine, folders, open_device=_open, check_device=_check) as (session, server),
        OscClient("127.0.0.1", server.port, ear) as client,
    ):
        yield Stage(session, server, client, ear)


def _open(choice: DeviceChoice) -> PushDevice:
    return PushDevice(choice.rate or RATE, choice.block)


def _check(choice: DeviceChoice) -> None:
    if choice.input == "absent":
        raise DeviceError("input 'absent': no such device")


class TestControls:
    @pytest.mark.parametrize("value", [0.25, 0, 1, True, False, 0.5])
    def test_numbers_of_any_kind_set_a_control(self, stage: Stage, value: float) -> None:
        stage.client.send("/rtvox/param/mix", value)
        stage.settled()
        assert stage.value("mix") == float(value)

    def test_every_control_can_be_set_and_asked(self, stage: Stage) -> None:
        for name, param in PARAMS.items():
            highest = 2.0 if name == "resynthesis" else param.high  # no vocoder is here
            for value in (param.low, highest):
                stage.client.send(f"/rtvox/param/{name}", float(value))
                stage.client.send(f"/rtvox/param/{name}")
                stage.hears(f"/rtvox/param/{name}", pytest.approx(value))
                assert stage.value(name) == pytest.approx(value)

    def test_a_switch_takes_its_names(self, stage: Stage) -> None:
        stage.client.send("/rtvox/param/miss_policy", "silence")
        stage.settled()
        assert stage.value("miss_policy") == 1.0

    def test_bypass_toggles_or_is_set(self, stage: Stage) -> None:
        for sent, expected in (((), 1.0), ((), 0.0), ((1,), 1.0), ((True,), 1.0), ((), 0.0)):
            stage.client.send("/rtvox/bypass", *sent)
            stage.settled()
            assert stage.value("bypass") == expected

    @pytest.mark.parametrize(
        ("pattern", "names"),
        [
            ("/rtvox/param/*_gain", {"input_gain", "output_gain"}),
            ("/rtvox/param/{mix,mute}", {"mix", "mute"}),
            ("/rtvox/param/m?x", {"mix"}),
            ("/rtvox/param/[b-c]*", {"bypass", "ceiling"}),
            ("/rtvox/param/[!a-ln-z]*", {"mix", "mute", "miss_policy"}),
        ],
    )
    def test_patterns_mean_all_that_match(self, stage: Stage, pattern: str, names: set[str]) -> None:
        stage.client.send(pattern)
        stage.settled()
        heard = {address.removeprefix("/rtvox/param/") for address, _ in stage.ear.heard if "/param/" in address}
        assert heard == names

    def test_panic_leaves_a_safe_state(self, stage: Stage) -> None:
        stage.client.send("/rtvox/param/output_gain", 6.0)
        stage.client.send("/rtvox/panic")
        stage.settled()
        assert (stage.value("mute"), stage.value("output_gain")) == (1.0, 0.0)

    @pytest.mark.parametrize(
        ("address", "values", "reason"),
        [
            ("/rtvox/param/mix", [1.5], "mix=1.5: needs 0 to 1"),
            ("/rtvox/param/mix", [float("nan")], "mix=nan: needs 0 to 1"),
            ("/rtvox/param/mix", ["loud"], "mix=loud: not a number; needs 0 to 1"),
            ("/rtvox/param/mix", [b"\0"], "needs a number"),
            ("/rtvox/param/mix", [0.5, 0.5], "2 values; needs one"),
            ("/rtvox/param/mox", [0.5], "mox: no such control; did you mean mix?"),
            ("/rtvox/param/[q]*", [0.5], "no control has such an address"),
            ("/rtvox/param/[z-a]*", [0.5], "not an address pattern"),
            ("/rtvox/param/*a*b*c*d*e", [0.5], "more than 4 stars"),
            ("/nowhere", [], "no such address"),
            ("/rtvox/panic", [1, 2, 3], "3 values; needs none"),
            ("/rtvox/notify", [], "needs 0, 1 or 2"),
            ("/rtvox/notify", [1, 99999], "needs 0, 1 or 2"),
        ],
    )
    def test_what_is_wrong_is_answered(self, stage: Stage, address: str, values: list[Any], reason: str) -> None:
        before = stage.engine.params.values()
        stage.client.send(address, *values)
        wait_for(lambda: stage.ear.last("/rtvox/fail") is not None)
        said = stage.ear.last("/rtvox/fail")
        assert said
        assert said[0] == address
        assert reason in str(said[1])
        assert stage.engine.params.values() == before


class TestCommands:
    def test_start_and_stop(self, stage: Stage) -> None:
        assert stage.client.call("/rtvox/start") == []
        assert stage.engine.status().state == "running"
        stage.client.call("/rtvox/stop")
        assert stage.engine.status().state == "stopped"

    def test_a_model_by_name_with_its_controls(self, stage: Stage) -> None:
        stage.client.subscribe()
        stage.client.call("/rtvox/model", "full")
        stage.hears("/rtvox/model", "full")
        stage.hears("/rtvox/controls", "depth")
        stage.hears("/rtvox/param/depth", 0.5)
        stage.client.send("/rtvox/param/depth", 0.75)
        stage.hears("/rtvox/param/depth", 0.75)
        with pytest.raises(OscError, match="model 'nobody': not there; there are none, full"):
            stage.client.call("/rtvox/model", "nobody")
        assert stage.session.model == "full"

    def test_lists_of_models_come_from_their_manifests(self, stage: Stage) -> None:
        stage.client.call("/rtvox/get", "/rtvox/models")
        assert stage.ear.last("/rtvox/models") == ["none", "full"]
        info, control = stage.ear.last("/rtvox/models/info"), stage.ear.last("/rtvox/models/control")
        assert info
        assert control
        assert info[:3] == ["full", "One-pole smoother for tests", "mask"]
        assert info[3] == pytest.approx(512 / 48, rel=1e-6)
        assert control == ["full", "depth", "", 0.0, 1.0, 0.5, 20.0, "how much of the input is kept"]

    def test_record_stays_in_its_folder(self, stage: Stage, folders: Path) -> None:
        stage.client.call("/rtvox/start")
        (path,) = stage.client.call("/rtvox/record", "../../take.flac")
        assert Path(str(path)) == folders / "recordings" / "_.._take.flac"
        assert stage.client.call("/rtvox/record", 0) == [""]
        (again,) = stage.client.call("/rtvox/record", "../../take.flac")
        assert Path(str(again)).name == "_.._take 2.flac"
        device = stage.engine.device
        assert isinstance(device, PushDevice)
        device.push(np.zeros((128, 1), np.float32))
        stage.client.call("/rtvox/record", False)
        (dated,) = stage.client.call("/rtvox/record", 1)
        assert Path(str(dated)).name.startswith("rtvox 2")
        stage.client.call("/rtvox/record", 0)
        assert {path.parent for path in folders.rglob("*take*")} == {folders / "recordings"}
        assert soundfile.info(str(again)).frames == 128

    def test_presets(self, stage: Stage) -> None:
        stage.client.subscribe()
        stage.client.call("/rtvox/model", "full")
        stage.client.send("/rtvox/param/mix", 0.125)
        stage.settled()
        stage.client.call("/rtvox/preset/save", "my song", 1)
        stage.hears("/rtvox/presets", "my song")
        stage.client.call("/rtvox/model", "none")
        stage.client.send("/rtvox/param/mix", 1)
        stage.client.call("/rtvox/preset/load", "my song")
        assert (stage.session.model, stage.value("mix")) == ("full", 0.125)
        with pytest.raises(OscError, match="needs a name, not a path"):
            stage.client.call("/rtvox/preset/load", "../my song")
        stage.client.call("/rtvox/preset/delete", "my song")
        with pytest.raises(OscError, match="not found"):
            stage.client.call("/rtvox/preset/load", "my song")

    def test_devices_are_changed_together_or_one_by_one(self, stage: Stage) -> None:
        stage.client.subscribe()
        stage.client.call("/rtvox/start")
        stage.client.call("/rtvox/device", "in", "out", 64, 44100)
        assert stage.session.devices == DeviceChoice("in", "out", 64, 44100)
        stage.hears("/rtvox/device/block", 64)
        stage.hears("/rtvox/device/rate", 44100)
        stage.client.call("/rtvox/device/rate", 0)
        stage.client.call("/rtvox/device/block", 256.0)
        stage.client.call("/rtvox/device/input", "")
        assert stage.session.devices == DeviceChoice(None, "out", 256, 0)
        assert stage.engine.status().state == "running"
        for command in (
            ("/rtvox/device/input", "absent"),
            ("/rtvox/device", "absent", "out"),
            ("/rtvox/device/block", 0.5),
        ):
            with pytest.raises(OscError):
                stage.client.call(*command)
        assert stage.session.devices == DeviceChoice(None, "out", 256, 0)
        assert stage.engine.status().state == "running"

    def test_the_devices_of_this_machine_can_be_listed(self, stage: Stage) -> None:
        stage.client.call("/rtvox/get", "/rtvox/devices")
        for kind in ("input", "output"):
            assert stage.ear.last(f"/rtvox/devices/{kind}") is not None

    def test_quit_is_what_the_owner_made_it(self, folders: Path) -> None:
        end = threading.Event()
        commands = Commands(Session(Engine(PushDevice(RATE)), presets=folders), end.set)
        with OscServer(commands, port=0) as server, OscClient("127.0.0.1", server.port) as client:
            client.send("/rtvox/param/*", 0.5)  # patterns do not reach it
            client.send("/*/*")
            client.send("/rtvox/*", 1)
            time.sleep(0.1)
            assert not end.is_set()
            client.send("/rtvox/quit")
            assert end.wait(5.0)

    def test_sync_waits_for_what_was_asked_before(self, stage: Stage) -> None:
        stage.client.send("/rtvox/model", "full")
        stage.client.send("/rtvox/sync", 3)
        stage.hears("/rtvox/synced", 3)
        answers = [address for address, _ in stage.ear.heard if address in ("/rtvox/done", "/rtvox/synced")]
        assert answers == ["/rtvox/done", "/rtvox/synced"]

    def test_every_address_that_is_promised_is_sent(self, stage: Stage) -> None:
        stage.client.call("/rtvox/model", "full")
        stage.client.send("/rtvox/notify", 2)
        stage.client.call("/rtvox/get")
        stage.client.call("/rtvox/get", "/rtvox/devices")
        promised = {row.path for row in (*STATE, *STATUS, *STREAMS, *LISTS, *param_addresses())}
        promised -= {"/rtvox/devices/info"}  # where there is no device
        wait_for(lambda: promised <= {address for address, _ in stage.ear.heard})
        known = promised | {"/rtvox/param/depth", "/rtvox/done", "/rtvox/devices/info"}
        assert {address for address, _ in stage.ear.heard} <= known
        for row in (*STATE, *STATUS, *STREAMS, *LISTS):
            if values := stage.ear.last(row.path):
                types = "".join(
                    "f" if isinstance(value, float) else {int: "i", str: "s", bytes: "b"}[type(value)]
                    for value in values
                )
                assert types == row.types or (row.types == "s..." and set(types) == {"s"}), row.path

    def test_every_command_is_known(self, stage: Stage) -> None:
        commands = Commands(stage.session)
        for row in COMMANDS:
            if row.path not in ("/rtvox/notify", "/rtvox/get", "/rtvox/sync"):
                assert row.path in commands._calls
        assert set(commands._calls) <= {row.path for row in COMMANDS}


class TestBundles:
    def test_the_past_and_immediately_are_now(self, stage: Stage) -> None:
        stage.client.send_packet(bundle([encode("/rtvox/param/mix", 0.1), encode("/rtvox/param/mute", 1)]))
        stage.client.send_packet(bundle([encode("/rtvox/param/output_gain", -3)], time.time() - 5.0))
        stage.settled()
        assert (stage.value("mix"), stage.value("mute"), stage.value("output_gain")) == (pytest.approx(0.1), 1.0, -3.0)

    def test_the_future_comes_when_it_is_due_and_holds_nothing_up(self, stage: Stage) -> None:
        begin = time.time()
        stage.client.send_packet(bundle([encode("/rtvox/param/mix", 0.75)], begin + 0.4))
        stage.client.send_packet(bundle([encode("/rtvox/param/mix", 0.5)], begin + 0.2))
        stage.client.send("/rtvox/param/mix", 0.25)
        stage.settled()
        assert stage.value("mix") == 0.25
        for due, value in ((0.2, 0.5), (0.4, 0.75)):
            wait_for(lambda value=value: stage.value("mix") == value)  # type: ignore[misc]
            assert due <= time.time() - begin < due + 0.15

    def test_a_far_future_is_refused(self, stage: Stage) -> None:
        stage.client.send_packet(bundle([encode("/rtvox/param/mix", 0.5)], time.time() + 3600.0))
        wait_for(lambda: stage.ear.last("/rtvox/fail") is not None)
        assert stage.value("mix") == 1.0


class TestSubscribers:
    def test_changes_are_told_whoever_made_them(self, stage: Stage) -> None:
        ear = Ear()
        with OscClient("127.0.0.1", stage.port, ear) as other:
            stage.client.subscribe()
            other.subscribe()
            stage.hears("/rtvox/param/mix", 1.0)
            other.send("/rtvox/param/mix", 0.5)
            stage.hears("/rtvox/param/mix", 0.5)
            wait_for(lambda: ear.last("/rtvox/param/mix") == [0.5])
            stage.engine.set("mix", 0.25)
            stage.hears("/rtvox/param/mix", 0.25)
            wait_for(lambda: ear.last("/rtvox/param/mix") == [0.25])

    def test_meters_and_status_come_in_time_and_tell_the_truth(self, folders: Path, sine: Any) -> None:
        device = FileDevice(np.tile(sine, 5), clock="real")
        ear = Ear()
        with Engine(device, reserve_ms=20.0) as engine, served(engine, folders) as (_, server):
            engine.start()
            with OscClient("127.0.0.1", server.port, ear) as client:
                client.subscribe(spectra=True)
                time.sleep(2.0)
                client.unsubscribe()
                time.sleep(0.2)
                count = len(ear.heard)
                time.sleep(0.3)
                assert len(ear.heard) == count
            status = engine.status()
        assert 45 <= len(ear.all("/rtvox/meters")) <= 66  # 30 Hz
        assert 7 <= len(ear.all("/rtvox/status/load")) <= 13  # 5 Hz
        levels = ear.last("/rtvox/meters")
        assert levels
        assert levels[0] == pytest.approx(-6.02, abs=0.1)
        assert levels[1] == pytest.approx(-9.03, abs=0.5)
        assert ear.last("/rtvox/status/latency") == [pytest.approx(status.latency.total_ms, rel=1e-6)]
        items = [
            ear.last(f"/rtvox/status/latency/{name}") for name in ("device", "prefill", "framing", "look_ahead", "edge")
        ]
        assert sum(float(item[0]) for item in items if item) == pytest.approx(status.latency.total_ms, rel=1e-6)
        for side in ("input", "output"):
            (blob,) = ear.last(f"/rtvox/spectrum/{side}") or [b""]
            assert isinstance(blob, bytes)
            heard = np.frombuffer(blob, ">f4")
            frame = sine[: engine.spec.n_fft] * engine.spec.analysis_window()
            wanted = log_mel(frame[None], engine.spec)[0]
            assert len(heard) == engine.spec.n_mels
            assert np.argmax(heard) == np.argmax(wanted)
            assert heard.max() == pytest.approx(wanted.max(), abs=0.05)

    def test_answers_go_to_the_port_that_was_named(self, stage: Stage) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
            elsewhere.bind(("127.0.0.1", 0))
            elsewhere.settimeout(5.0)
            stage.client.send("/rtvox/notify", 0, elsewhere.getsockname()[1])
            stage.client.send("/rtvox/param/mix")
            assert decode(elsewhere.recv(1000)) == [(0.0, "/rtvox/param/mix", [1.0])]
            stage.client.send("/rtvox/sync", 1)
            assert decode(elsewhere.recv(1000)) == [(0.0, "/rtvox/synced", [1])]
            stage.client.send("/rtvox/notify", 1.0, float(elsewhere.getsockname()[1]))  # as Max and Pd say it
            wait_for(lambda: decode(elsewhere.recv(9000))[0][1] == "/rtvox/version")
        assert stage.ear.heard == []

    def test_the_one_that_was_silent_for_longest_makes_room(self, stage: Stage) -> None:
        stage.client.subscribe()
        stage.hears("/rtvox/param/mix", 1.0)
        clients = [OscClient("127.0.0.1", stage.port) for _ in range(32)]
        for client in clients:
            client.subscribe()
        stage.settled()
        count = len(stage.ear.all("/rtvox/meters"))
        time.sleep(0.3)
        assert len(stage.ear.all("/rtvox/meters")) <= count + 2
        for client in clients:
            client.close()

    def test_the_end_is_told(self, folders: Path) -> None:
        ear = Ear()
        with served(Engine(PushDevice(RATE)), folders) as (_, server):
            client = OscClient("127.0.0.1", server.port, ear)
            client.subscribe()
            wait_for(lambda: ear.last("/rtvox/meters") is not None)
        wait_for(lambda: ear.heard[-1] == ("/rtvox/status/state", ["stopped"]))
        client.close()


class TestTcp:
    def connect(self, stage: Stage) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", stage.port))
        sock.settimeout(5.0)
        return sock

    def test_it_speaks_osc_in_slip_frames(self, stage: Stage) -> None:
        with self.connect(stage) as sock:
            packet = (
                slip(encode("/rtvox/param/mix", 0.5))
                + slip(encode("/rtvox/param/mix"))
                + slip(encode("/rtvox/sync", 192))
            )
            for at in range(0, len(packet), 7):  # in pieces, as networks do it
                sock.sendall(packet[at : at + 7])
                time.sleep(0.001)
            wanted = slip(encode("/rtvox/param/mix", 0.5)) + slip(encode("/rtvox/synced", 192))
            got = b""
            while len(got) < len(wanted):
                got += sock.recv(1000)
            assert got == wanted

    def test_a_frame_may_begin_without_its_end(self, stage: Stage) -> None:
        with self.connect(stage) as sock:
            sock.sendall(slip(encode("/rtvox/param/mix"))[1:])
            assert sock.recv(1000) == slip(encode("/rtvox/param/mix", 1.0))

    def test_a_connection_can_subscribe_and_vanish(self, stage: Stage) -> None:
        with self.connect(stage) as sock:
            sock.sendall(slip(encode("/rtvox/notify", 2)))
            assert sock.recv(100)
        stage.client.subscribe()
        stage.hears("/rtvox/param/mix", 1.0)

    def test_one_that_never_reads_is_left(self, stage: Stage) -> None:
        with self.connect(stage) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(slip(encode("/rtvox/notify", 1)))
            wait_for(lambda: bool(stage.server._connections))
            (connection,) = stage.server._connections
            for _ in range(1000):
                stage.server._post(connection, bytes(8000))
            wait_for(lambda: not stage.server._connections)
        stage.settled()

    def test_nonsense_ends_it_and_is_counted(self, stage: Stage) -> None:
        for sent in (
            b"POST / HTTP/1.1\r\n\r\n/rtvox/panic",
            b"\xc0\xdbx\xc0",
            b"\xc0" + b"x" * 20000,
            b"GET /" + b"x" * 9000,
        ):
            before = stage.server.ignored
            with self.connect(stage) as sock:
                sock.sendall(sent)
                assert sock.recv(100) == b""
            assert stage.server.ignored == before + 1
        assert stage.value("mute") == 0.0

    def test_idle_connections_do_not_keep_others_out(self, stage: Stage) -> None:
        idle = [self.connect(stage) for _ in range(3 * MAX_CONNECTIONS)]
        with self.connect(stage) as sock:
            sock.sendall(slip(encode("/rtvox/param/mix")))
            assert sock.recv(1000) == slip(encode("/rtvox/param/mix", 1.0))
        for one in idle:
            one.close()

    def test_random_bytes(self, stage: Stage) -> None:
        tcp_flood(stage.port, 200)
        stage.settled()


class TestQuery:
    def get(self, stage: Stage, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{stage.port}{path}", timeout=5) as answer:
            assert answer.headers["Content-Type"] == "application/json"
            return json.load(answer)

    def test_the_host_says_where_osc_is_spoken(self, stage: Stage) -> None:
        info = self.get(stage, "/?HOST_INFO")
        assert (info["OSC_PORT"], info["OSC_TRANSPORT"]) == (stage.port, "UDP")
        assert info["EXTENSIONS"]["VALUE"]

    def test_controls_have_type_range_and_value(self, stage: Stage) -> None:
        stage.client.send("/rtvox/param/mix", 0.5)
        stage.client.call("/rtvox/model", "full")
        params = self.get(stage, "/")["CONTENTS"]["rtvox"]["CONTENTS"]["param"]["CONTENTS"]
        assert set(params) == {*PARAMS, "depth"}
        for name, row in stage.engine.params.table.items():
            node = params[name]
            assert (node["FULL_PATH"], node["TYPE"], node["ACCESS"]) == (f"/rtvox/param/{name}", "f", 3)
            assert node["VALUE"] == [stage.value(name)]
            choices = {"VALS": list(map(float, range(len(row.choices))))} if isinstance(row, Switch) else None
            assert node["RANGE"] == [choices or {"MIN": row.low, "MAX": row.high}]
        assert params["mix"] == self.get(stage, "/rtvox/param/mix")
        assert self.get(stage, "/rtvox/param/mix?VALUE") == {"VALUE": [0.5]}
        assert params["input_gain"]["UNIT"] == ["dB"]

    def test_every_address_is_there(self, stage: Stage) -> None:
        paths = set()

        def walk(node: dict[str, Any]) -> None:
            paths.add(node["FULL_PATH"])
            for inner in node.get("CONTENTS", {}).values():
                walk(inner)

        walk(self.get(stage, "/"))
        assert {row.path for row in (*COMMANDS, *STATE, *STATUS, *STREAMS, *param_addresses())} <= paths

    @pytest.mark.parametrize(
        "path", ["/nowhere", "/rtvox/param/mix/deeper", "/rtvox/param/mix?NOTHING", "/rtvox/panic?VALUE"]
    )
    def test_what_is_not_there_is_not_found(self, stage: Stage, path: str) -> None:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            self.get(stage, path)


class TestBorders:
    def test_only_those_who_are_allowed(self, folders: Path) -> None:
        commands = Commands(Session(Engine(PushDevice(RATE)), presets=folders))
        with OscServer(commands, "127.0.0.1", 0, ["10.1.2.3", "192.168.7.0/24"]) as server:
            assert server.is_local
            assert server._may("127.0.0.1")
            assert server._may("10.1.2.3")
            assert server._may("192.168.7.99")
            assert not server._may("192.168.8.1")
            assert not server._may("10.1.2.4")
            assert server.ignored == 2
        for allow, message in ((["nowhere"], "needs an address or a network"), (["300.1.1.1"], "needs an address")):
            with pytest.raises(OscError, match=message):
                OscServer(commands, port=0, allow=allow)

    def test_a_stranger_is_not_heard(self, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with (
            served(Engine(PushDevice(RATE)), folders) as (session, server),
            OscClient("127.0.0.1", server.port) as client,
        ):
            monkeypatch.setattr(server, "_may", lambda address: False)
            client.send("/rtvox/param/mix", 0.5)
            with socket.create_connection(("127.0.0.1", server.port)) as sock:
                assert sock.recv(10) == b""
            assert session.engine.params.get("mix") == 1.0

    def test_a_port_in_use_is_named(self, stage: Stage) -> None:
        with pytest.raises(OscError, match=f"OSC on 127.0.0.1:{stage.port}: .*--osc-port takes another"):
            OscServer(Commands(stage.session), port=stage.port)

    def test_the_port_is_free_again(self, stage: Stage) -> None:
        server = OscServer(Commands(stage.session), port=0)
        server.start()
        server.close()
        with OscServer(Commands(stage.session), port=server.port):
            pass

    def test_failures_are_answered_so_often_and_no_more(self, stage: Stage) -> None:
        for _ in range(500):
            stage.client.send("/nowhere")
        stage.settled()
        assert 50 <= len(stage.ear.all("/rtvox/fail")) <= 150
        assert stage.server.ignored >= 350

    def test_a_fault_of_ours_is_answered_and_survived(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise ZeroDivisionError("ours")

        monkeypatch.setattr(stage.session, "set", fail)
        monkeypatch.setattr(stage.session, "look_again", fail)
        stage.client.send("/rtvox/param/mix", 0.5)
        stage.hears("/rtvox/fail", "/rtvox/param/mix", "ZeroDivisionError: ours")
        with pytest.raises(OscError, match="ZeroDivisionError"):
            stage.client.call("/rtvox/get")
        stage.client.subscribe()
        stage.settled()


@pytest.mark.slow
class TestUnderLoad:
    """Short forms of what `python tests/steering.py` measures, with 20 ms of reserve for busy machines."""

    def test_a_thousand_messages_a_second_make_no_zipper(self) -> None:
        played = sweep(3.0, reserve_ms=20.0)
        assert played.status["misses"] <= played.status["callbacks"] // 200
        if played.status["misses"] == 0:
            assert largest_step(played.output) <= STEP * 1.01
        mix = float(np.float32(1.0 / 3.0))
        assert played.output[-HOP:] == pytest.approx(0.25 * (1.0 - mix) - 0.125 * mix, abs=1e-6)

    def test_a_control_that_takes_loading_is_not_loaded_a_thousand_times(self, stage: Stage) -> None:
        stage.engine.start()
        before = threading.active_count()
        for step in range(1000):
            stage.client.send("/rtvox/param/look_ahead", step % 3)
        stage.client.send("/rtvox/param/look_ahead", 2)
        stage.settled()
        assert threading.active_count() <= before + 2
        assert stage.value("look_ahead") == 2.0

    def test_control_to_sound(self) -> None:
        delays, played = latency(5.0)
        assert len(delays) > 50
        assert delays[len(delays) // 2] <= 10.0 + 1000.0 * HOP / RATE
        assert played.status["failed_hops"] == 0

    def test_a_flood_of_hostile_datagrams(self) -> None:
        flood(3000, reserve_ms=20.0)  # loads what a message may ask for
        played = flood(10_000, reserve_ms=20.0)
        assert played.status["state"] == "running"
        assert played.status["failed_hops"] == 0
        assert played.status["misses"] <= played.status["callbacks"] // 100
        assert played.ignored > 3000
        assert growth(played) < 4_000_000
        assert np.isfinite(played.output).all()


def test_device_changes_while_sound_runs() -> None:
    """The old device goes on when the new one fails, also where both need the same card."""
    busy: list[PushDevice] = []

    class Card(PushDevice):
        def stop(self) -> None:
            super().stop()
            if self in busy:
                busy.remove(self)

        def start(self, *arguments: Any) -> None:
            super().start(*arguments)
            busy.append(self)

    def open_exclusive() -> Card:
        if busy:
            raise DeviceError("the card is in use")
        return Card(RATE, 256)

    old = Card(RATE, 128)
    with Engine(old) as engine:
        engine.load(made(1.0))
        engine.start()
        engine.use(open_exclusive)  # in the way of each other: the old one is closed first
        new = engine.device
        assert isinstance(new, Card)
        assert new.max_block == 256
        new.push(np.zeros((256, 1), np.float32))
        assert engine.status().state == "running"

        def gone() -> Card:
            raise DeviceError("no such card")

        with pytest.raises(DeviceError, match="no such card"):
            engine.use(gone)
        assert engine.device is new
        assert engine.status().state == "running"
        new.push(np.zeros((256, 1), np.float32))

        class Broken(PushDevice):
            def start(self, *arguments: Any) -> None:
                raise DeviceError("it opens, but does not start")

        with pytest.raises(DeviceError, match="does not start"):
            engine.use(lambda: Broken(RATE, 64))
        assert engine.device is new
        new.push(np.zeros((256, 1), np.float32))
        assert engine.status().state == "running"
        assert engine.status().model == "made 1"
