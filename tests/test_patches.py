"""The shipped examples: Pure Data, SuperCollider and Python for real; Max's patch by its structure."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from audio_systems import require, running
from playing import RATE, wait_for
from steering import served
from test_osc import PURE_DATA, SUPERCOLLIDER

from rtvox.engine import Engine
from rtvox.features import Array
from rtvox.file_device import FileDevice
from rtvox.osc import decode
from rtvox.osc_server import OscServer
from rtvox.params import PARAMS, Param
from rtvox.patches import max_patch, pd_patch, supercollider_controls
from rtvox.session import Session

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
SLOW_S = 60.0  # for programs to start on a loaded machine

# A patch beside the shipped one, as a user would make it: steers it by its names, and prints what it hears.
BESIDE = """#N canvas 0 0 450 300 12;
#X obj 10 10 netreceive {port};
#X obj 10 40 route rtvox-mix rtvox-model rtvox-own0 rtvox-connect rtvox-menu;
#X obj 10 70 s rtvox-mix;
#X obj 90 70 s rtvox-model;
#X obj 180 70 s rtvox-own0;
#X obj 270 70 s rtvox-connect;
#X obj 360 70 s rtvox-menu;
#X obj 10 100 r rtvox-heard;
#X obj 10 130 print heard;
#X obj 200 100 r rtvox-meters;
#X obj 200 130 print meters;
#X connect 0 0 1 0;
#X connect 1 0 2 0;
#X connect 1 1 3 0;
#X connect 1 2 4 0;
#X connect 1 3 5 0;
#X connect 1 4 6 0;
#X connect 7 0 8 0;
#X connect 9 0 10 0;
"""


class Engaged:
    """An engine that plays a tone, has the model `isolate` (a smoother), and keeps the packets that it gets."""

    def __init__(self, session: Session, server: OscServer) -> None:
        self.session, self.server, self.port = session, server, server.port
        self.packets: list[bytes] = []
        take = server._packet

        def keep(peer: object, packet: bytes) -> None:
            self.packets.append(packet)
            take(peer, packet)  # type: ignore[arg-type]

        server._packet = keep  # type: ignore[method-assign]

    def value(self, name: str) -> float:
        return self.session.engine.params.get(name)


@pytest.fixture
def engaged(full_model_path: Path, sine: Array, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engaged]:
    folder = full_model_path.parent
    full_model_path.rename(folder / "isolate.onnx")
    for module in ("model_file", "report", "session"):
        monkeypatch.setattr(f"rtvox.{module}.model_folders", lambda: [folder])
    device = FileDevice(np.resize(sine, 300 * RATE), clock="real")
    with Engine(device, reserve_ms=20.0) as engine, served(engine, folder) as (session, server):
        engine.start()
        yield Engaged(session, server)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_pure_data_steers_and_hears(engaged: Engaged, tmp_path: Path) -> None:
    require("pd")
    port, beside, said = free_port(), tmp_path / "beside.pd", tmp_path / "said"
    beside.write_text(BESIDE.format(port=port))
    flags = ("-nogui", "-noaudio", "-noprefs", "-stderr")
    with (
        said.open("w") as out,
        running("pd", *flags, "-open", str(EXAMPLES / "rtvox.pd"), "-open", str(beside), stderr=out),
    ):

        def heard(text: str) -> bool:
            return text in said.read_text()

        def pd(message: str) -> None:
            sock.sendall(f"{message};\n".encode())

        def reachable() -> bool:
            return sock.connect_ex(("127.0.0.1", port)) == 0

        with socket.socket() as sock:
            wait_for(reachable, SLOW_S)
            pd(f"rtvox-connect {engaged.port}")
            wait_for(lambda: heard("heard: rtvox models none isolate"), SLOW_S)
            pd("rtvox-mix 0.25")
            wait_for(lambda: engaged.value("mix") == 0.25, SLOW_S)
            pd("rtvox-model symbol isolate")
            wait_for(lambda: heard("rtvox-done: /rtvox/model"), SLOW_S)
            assert engaged.session.model == "isolate"
            wait_for(lambda: heard("heard: rtvox controls depth"), SLOW_S)
            pd("rtvox-own0 0.75")
            wait_for(lambda: engaged.value("depth") == 0.75, SLOW_S)
            engaged.session.engine.set("mix", 0.5)  # and the other way round
            wait_for(lambda: heard("heard: rtvox param mix 0.5"), SLOW_S)
            pd("rtvox-menu 0")  # the first of the menu's models
            wait_for(lambda: engaged.session.model == "none", SLOW_S)
            pd("rtvox-model symbol nobody")
            wait_for(lambda: heard("rtvox-fail: /rtvox/model"), SLOW_S)
            wait_for(lambda: said.read_text().count("meters: ") > 10, SLOW_S)
    levels = re.findall(r"meters: (\S+) (\S+) (\S+) (\S+)", said.read_text())
    assert float(levels[-1][0]) == pytest.approx(-6.02, abs=0.1)
    assert "error:" not in said.read_text()
    assert set(PURE_DATA) <= set(engaged.packets)


SCLANG = """
~rtvoxPort = {port}; ~rtvoxWindow = false;
"{examples}/rtvox.scd".load;
~rtvox.done = {{ |self, address| "DONE %".format(address).postln }};
~rtvox.failed = {{ |self, address, reason| "FAILED %: %".format(address, reason).postln }};
fork {{
    var engine = ~rtvox.engine, waited = 0;
    while {{ ~rtvox.heard['/rtvox/meters'].isNil and: {{ waited < 20 }} }} {{ 0.1.wait; waited = waited + 0.1 }};
    engine.sendMsg("/rtvox/param/mix", 0.25);
    engine.sendMsg("/rtvox/param/bypass", 1);
    engine.sendBundle(0.2, ["/rtvox/param/output_gain", -6], ["/rtvox/param/mute", true]);
    engine.sendMsg("/rtvox/model", "isolate");
    engine.sendMsg("/rtvox/model", "nobody");
    2.wait;
    "HEARD % % %".format(*['meters', 'model', 'param/mix'].collect {{ |name|
        ~rtvox.heard[("/rtvox/" ++ name).asSymbol]
    }}).postln;
    0.exit;
}};
"""


@pytest.mark.slow
def test_supercollider_steers_and_hears(engaged: Engaged, tmp_path: Path) -> None:
    require("sclang")
    script = tmp_path / "test.scd"
    script.write_text(SCLANG.format(port=engaged.port, examples=EXAMPLES))
    quiet = {"QT_QPA_PLATFORM": "offscreen", "QTWEBENGINE_DISABLE_SANDBOX": "1", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["sclang", "-D", str(script)],
        env=os.environ | quiet | {"XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout
    assert "DONE /rtvox/model\n" in done.stdout
    assert "FAILED /rtvox/model: model 'nobody': not there" in done.stdout
    heard = re.search(r"HEARD \[ (-[\d.]+), .*\] \[ isolate \] \[ 0.25 \]", done.stdout)
    assert heard, done.stdout
    assert float(heard[1]) == pytest.approx(-6.02, abs=0.1)
    names = ("mix", "bypass", "output_gain", "mute")
    assert [engaged.value(name) for name in names] == [0.25, 1.0, -6.0, 1.0]
    assert set(SUPERCOLLIDER) <= set(engaged.packets)
    ((due, *_), _) = next(decode(packet) for packet in engaged.packets if packet.startswith(b"#bundle"))
    assert abs(due - time.time()) < 60.0


def test_the_python_script_steers_and_hears(engaged: Engaged) -> None:
    script = [sys.executable, str(EXAMPLES / "rtvox_client.py"), "--port", str(engaged.port)]
    done = subprocess.run(
        [*script, "--model", "isolate", "--sweep", "mix", "--seconds", "0.5"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "models: none, isolate" in done.stdout
    assert re.search(r"in =+ +-6\.0 dB   out", done.stdout)
    assert engaged.session.model == "isolate"
    assert engaged.value("mix") == 0.0
    assert any(b"/rtvox/param/mix" in packet for packet in engaged.packets)
    done = subprocess.run([*script, "--model", "nobody"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 7
    assert "model 'nobody': not there" in done.stderr


def test_the_patch_for_max_holds_together() -> None:
    patcher = json.loads((EXAMPLES / "rtvox.maxpat").read_text())["patcher"]
    boxes = {box["box"]["id"]: box["box"] for box in patcher["boxes"]}
    assert len(boxes) == len(patcher["boxes"])
    wired = set()
    for line in patcher["lines"]:
        (source, outlet), (target, inlet) = line["patchline"]["source"], line["patchline"]["destination"]
        assert outlet < boxes[source]["numoutlets"], boxes[source]
        assert inlet < boxes[target]["numinlets"], boxes[target]
        wired |= {source, target}
    assert {name for name, box in boxes.items() if box["maxclass"] != "comment"} == wired
    texts = [box.get("text", "") for box in boxes.values()]
    assert "udpsend 127.0.0.1 9000" in texts
    assert "udpreceive 9001" in texts
    assert "/rtvox/notify 1 9001" in texts
    (route,) = (box for box in boxes.values() if box.get("text", "").startswith("route "))
    addresses = route["text"].split()[1:]
    assert route["numoutlets"] == len(addresses) + 1
    for name in PARAMS:
        assert f"prepend /rtvox/param/{name}" in texts
        assert f"/rtvox/param/{name}" in addresses


def test_a_new_control_appears_in_every_patch() -> None:
    new = [*PARAMS.values(), Param("growl", "", 0.0, 2.0, 0.5, 20.0, "How much.")]
    assert "oscformat rtvox param growl" in pd_patch(new)
    assert "prepend /rtvox/param/growl" in max_patch(new)
    assert "[\\growl, 0, 2, 0.5, 0]" in supercollider_controls(new)


def test_the_wires_of_the_patch_for_pure_data_end_at_boxes() -> None:
    counts = [0]  # boxes so far, of each canvas that is open
    for line in pd_patch().splitlines()[1:]:
        if line.startswith("#N canvas"):
            counts.append(0)
        elif line.startswith("#X restore"):
            counts.pop()
            counts[-1] += 1
        elif match := re.fullmatch(r"#X connect (\d+) \d+ (\d+) \d+;", line):
            assert max(int(match[1]), int(match[2])) < counts[-1]
        else:
            counts[-1] += 1
    assert len(counts) == 1


@pytest.mark.skipif(
    shutil.which("pd") is None, reason="needs the program pd, which is not installed (scripts/setup.sh test)"
)
def test_pure_data_finds_nothing_wrong_with_the_patch() -> None:
    done = subprocess.run(
        ["pd", "-nogui", "-noaudio", "-noprefs", "-stderr", "-open", str(EXAMPLES / "rtvox.pd"), "-send", "pd quit"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "couldn't create" not in done.stderr
    assert "error" not in done.stderr
