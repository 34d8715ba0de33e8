{
 "patcher": {
  "fileversion": 1,
  "appversion": {
   "major": 8,
   "minor": 5,
   "revision": 0,
   "architecture": "x64",
   "modernui": 1
  },
  "classnamespace": "box",
  "rect": [
   80.0,
   80.0,
   960.0,
   640.0
  ],
  "boxes": [
   {
    "box": {
     "id": "obj-1",
     "maxclass": "comment",
     "patching_rect": [
      20,
      10,
      555,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "rtvox: steers an engine on this machine, port 9000; answers come to port 9001"
    }
   },
   {
    "box": {
     "id": "obj-2",
     "maxclass": "newobj",
     "patching_rect": [
      20,
      560,
      170,
      22
     ],
     "numinlets": 1,
     "numoutlets": 0,
     "text": "udpsend 127.0.0.1 9000"
    }
   },
   {
    "box": {
     "id": "obj-3",
     "maxclass": "newobj",
     "patching_rect": [
      20,
      40,
      72,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "loadbang"
    }
   },
   {
    "box": {
     "id": "obj-4",
     "maxclass": "message",
     "patching_rect": [
      20,
      70,
      156,
      22
     ],
     "numinlets": 2,
     "numoutlets": 1,
     "text": "/rtvox/notify 1 9001"
    }
   },
   {
    "box": {
     "id": "obj-5",
     "maxclass": "newobj",
     "patching_rect": [
      480,
      40,
      121,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "udpreceive 9001"
    }
   },
   {
    "box": {
     "id": "obj-6",
     "maxclass": "newobj",
     "patching_rect": [
      480,
      70,
      400,
      22
     ],
     "numinlets": 1,
     "numoutlets": 18,
     "text": "route /rtvox/meters /rtvox/models /rtvox/model /rtvox/done /rtvox/fail /rtvox/param/input_gain /rtvox/param/gate_threshold /rtvox/param/mix /rtvox/param/output_gain /rtvox/param/ceiling /rtvox/param/bypass /rtvox/param/mute /rtvox/param/resynthesis /rtvox/param/phase /rtvox/param/iterations /rtvox/param/look_ahead /rtvox/param/miss_policy"
    }
   },
   {
    "box": {
     "id": "obj-7",
     "maxclass": "multislider",
     "patching_rect": [
      480,
      110,
      120,
      120
     ],
     "size": 4,
     "setminmax": [
      -60.0,
      0.0
     ],
     "candicane2": [
      0.2,
      0.6,
      0.3,
      1.0
     ],
     "settype": 1,
     "ignoreclick": 1,
     "numinlets": 1,
     "numoutlets": 2
    }
   },
   {
    "box": {
     "id": "obj-8",
     "maxclass": "comment",
     "patching_rect": [
      480,
      235,
      380,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "input peak and rms, output peak and rms: -60 to 0 dB"
    }
   },
   {
    "box": {
     "id": "obj-9",
     "maxclass": "umenu",
     "patching_rect": [
      480,
      320,
      160,
      22
     ],
     "items": [
      "none"
     ],
     "numinlets": 1,
     "numoutlets": 3
    }
   },
   {
    "box": {
     "id": "obj-10",
     "maxclass": "newobj",
     "patching_rect": [
      480,
      265,
      79,
      22
     ],
     "numinlets": 1,
     "numoutlets": 2,
     "text": "t l clear"
    }
   },
   {
    "box": {
     "id": "obj-11",
     "maxclass": "newobj",
     "patching_rect": [
      480,
      290,
      44,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "iter"
    }
   },
   {
    "box": {
     "id": "obj-12",
     "maxclass": "newobj",
     "patching_rect": [
      540,
      290,
      114,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend append"
    }
   },
   {
    "box": {
     "id": "obj-13",
     "maxclass": "newobj",
     "patching_rect": [
      480,
      350,
      156,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend /rtvox/model"
    }
   },
   {
    "box": {
     "id": "obj-14",
     "maxclass": "newobj",
     "patching_rect": [
      660,
      290,
      135,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend setsymbol"
    }
   },
   {
    "box": {
     "id": "obj-15",
     "maxclass": "newobj",
     "patching_rect": [
      480,
      400,
      128,
      22
     ],
     "numinlets": 1,
     "numoutlets": 0,
     "text": "print rtvox-done"
    }
   },
   {
    "box": {
     "id": "obj-16",
     "maxclass": "newobj",
     "patching_rect": [
      620,
      400,
      128,
      22
     ],
     "numinlets": 1,
     "numoutlets": 0,
     "text": "print rtvox-fail"
    }
   },
   {
    "box": {
     "id": "obj-17",
     "maxclass": "button",
     "patching_rect": [
      480,
      440,
      40,
      40
     ],
     "numinlets": 1,
     "numoutlets": 1
    }
   },
   {
    "box": {
     "id": "obj-18",
     "maxclass": "message",
     "patching_rect": [
      530,
      450,
      100,
      22
     ],
     "numinlets": 2,
     "numoutlets": 1,
     "text": "/rtvox/panic"
    }
   },
   {
    "box": {
     "id": "obj-19",
     "maxclass": "dial",
     "patching_rect": [
      20,
      110,
      40,
      40
     ],
     "min": -60.0,
     "size": 84.0,
     "floatoutput": 1,
     "numinlets": 1,
     "numoutlets": 1
    }
   },
   {
    "box": {
     "id": "obj-20",
     "maxclass": "flonum",
     "patching_rect": [
      70,
      110,
      60,
      22
     ],
     "minimum": -60.0,
     "maximum": 24.0,
     "numinlets": 1,
     "numoutlets": 2
    }
   },
   {
    "box": {
     "id": "obj-21",
     "maxclass": "comment",
     "patching_rect": [
      140,
      110,
      191,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "input_gain (-60 to 24 dB)"
    }
   },
   {
    "box": {
     "id": "obj-22",
     "maxclass": "newobj",
     "patching_rect": [
      140,
      134,
      233,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend /rtvox/param/input_gain"
    }
   },
   {
    "box": {
     "id": "obj-23",
     "maxclass": "newobj",
     "patching_rect": [
      320,
      134,
      93,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend set"
    }
   },
   {
    "box": {
     "id": "obj-24",
     "maxclass": "dial",
     "patching_rect": [
      20,
      164,
      40,
      40
     ],
     "min": -100.0,
     "size": 100.0,
     "floatoutput": 1,
     "numinlets": 1,
     "numoutlets": 1
    }
   },
   {
    "box": {
     "id": "obj-25",
     "maxclass": "flonum",
     "patching_rect": [
      70,
      164,
      60,
      22
     ],
     "minimum": -100.0,
     "maximum": 0.0,
     "numinlets": 1,
     "numoutlets": 2
    }
   },
   {
    "box": {
     "id": "obj-26",
     "maxclass": "comment",
     "patching_rect": [
      140,
      164,
      219,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "gate_threshold (-100 to 0 dB)"
    }
   },
   {
    "box": {
     "id": "obj-27",
     "maxclass": "newobj",
     "patching_rect": [
      140,
      188,
      261,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend /rtvox/param/gate_threshold"
    }
   },
   {
    "box": {
     "id": "obj-28",
     "maxclass": "newobj",
     "patching_rect": [
      320,
      188,
      93,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend set"
    }
   },
   {
    "box": {
     "id": "obj-29",
     "maxclass": "dial",
     "patching_rect": [
      20,
      218,
      40,
      40
     ],
     "min": 0.0,
     "size": 1.0,
     "floatoutput": 1,
     "numinlets": 1,
     "numoutlets": 1
    }
   },
   {
    "box": {
     "id": "obj-30",
     "maxclass": "flonum",
     "patching_rect": [
      70,
      218,
      60,
      22
     ],
     "minimum": 0.0,
     "maximum": 1.0,
     "numinlets": 1,
     "numoutlets": 2
    }
   },
   {
    "box": {
     "id": "obj-31",
     "maxclass": "comment",
     "patching_rect": [
      140,
      218,
      100,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "mix (0 to 1)"
    }
   },
   {
    "box": {
     "id": "obj-32",
     "maxclass": "newobj",
     "patching_rect": [
      140,
      242,
      184,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend /rtvox/param/mix"
    }
   },
   {
    "box": {
     "id": "obj-33",
     "maxclass": "newobj",
     "patching_rect": [
      320,
      242,
      93,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend set"
    }
   },
   {
    "box": {
     "id": "obj-34",
     "maxclass": "dial",
     "patching_rect": [
      20,
      272,
      40,
      40
     ],
     "min": -60.0,
     "size": 84.0,
     "floatoutput": 1,
     "numinlets": 1,
     "numoutlets": 1
    }
   },
   {
    "box": {
     "id": "obj-35",
     "maxclass": "flonum",
     "patching_rect": [
      70,
      272,
      60,
      22
     ],
     "minimum": -60.0,
     "maximum": 24.0,
     "numinlets": 1,
     "numoutlets": 2
    }
   },
   {
    "box": {
     "id": "obj-36",
     "maxclass": "comment",
     "patching_rect": [
      140,
      272,
      198,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "output_gain (-60 to 24 dB)"
    }
   },
   {
    "box": {
     "id": "obj-37",
     "maxclass": "newobj",
     "patching_rect": [
      140,
      296,
      240,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend /rtvox/param/output_gain"
    }
   },
   {
    "box": {
     "id": "obj-38",
     "maxclass": "newobj",
     "patching_rect": [
      320,
      296,
      93,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend set"
    }
   },
   {
    "box": {
     "id": "obj-39",
     "maxclass": "dial",
     "patching_rect": [
      20,
      326,
      40,
      40
     ],
     "min": -24.0,
     "size": 24.0,
     "floatoutput": 1,
     "numinlets": 1,
     "numoutlets": 1
    }
   },
   {
    "box": {
     "id": "obj-40",
     "maxclass": "flonum",
     "patching_rect": [
      70,
      326,
      60,
      22
     ],
     "minimum": -24.0,
     "maximum": 0.0,
     "numinlets": 1,
     "numoutlets": 2
    }
   },
   {
    "box": {
     "id": "obj-41",
     "maxclass": "comment",
     "patching_rect": [
      140,
      326,
      163,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "ceiling (-24 to 0 dB)"
    }
   },
   {
    "box": {
     "id": "obj-42",
     "maxclass": "newobj",
     "patching_rect": [
      140,
      350,
      212,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend /rtvox/param/ceiling"
    }
   },
   {
    "box": {
     "id": "obj-43",
     "maxclass": "newobj",
     "patching_rect": [
      320,
      350,
      93,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend set"
    }
   },
   {
    "box": {
     "id": "obj-44",
     "maxclass": "toggle",
     "patching_rect": [
      20,
      380,
      24,
      24
     ],
     "numinlets": 1,
     "numoutlets": 1
    }
   },
   {
    "box": {
     "id": "obj-45",
     "maxclass": "flonum",
     "patching_rect": [
      70,
      380,
      60,
      22
     ],
     "minimum": 0.0,
     "maximum": 1.0,
     "numinlets": 1,
     "numoutlets": 2
    }
   },
   {
    "box": {
     "id": "obj-46",
     "maxclass": "comment",
     "patching_rect": [
      140,
      380,
      198,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "bypass (0 (off) or 1 (on))"
    }
   },
   {
    "box": {
     "id": "obj-47",
     "maxclass": "newobj",
     "patching_rect": [
      140,
      404,
      205,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend /rtvox/param/bypass"
    }
   },
   {
    "box": {
     "id": "obj-48",
     "maxclass": "newobj",
     "patching_rect": [
      320,
      404,
      93,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend set"
    }
   },
   {
    "box": {
     "id": "obj-49",
     "maxclass": "toggle",
     "patching_rect": [
      20,
      434,
      24,
      24
     ],
     "numinlets": 1,
     "numoutlets": 1
    }
   },
   {
    "box": {
     "id": "obj-50",
     "maxclass": "flonum",
     "patching_rect": [
      70,
      434,
      60,
      22
     ],
     "minimum": 0.0,
     "maximum": 1.0,
     "numinlets": 1,
     "numoutlets": 2
    }
   },
   {
    "box": {
     "id": "obj-51",
     "maxclass": "comment",
     "patching_rect": [
      140,
      434,
      184,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "mute (0 (off) or 1 (on))"
    }
   },
   {
    "box": {
     "id": "obj-52",
     "maxclass": "newobj",
     "patching_rect": [
      140,
      458,
      191,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend /rtvox/param/mute"
    }
   },
   {
    "box": {
     "id": "obj-53",
     "maxclass": "newobj",
     "patching_rect": [
      320,
      458,
      93,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend set"
    }
   },
   {
    "box": {
     "id": "obj-54",
     "maxclass": "umenu",
     "patching_rect": [
      20,
      488,
      48,
      22
     ],
     "items": [
      "auto",
      ",",
      "input-phase",
      ",",
      "griffin-lim",
      ",",
      "vocoder"
     ],
     "numinlets": 1,
     "numoutlets": 3
    }
   },
   {
    "box": {
     "id": "obj-55",
     "maxclass": "flonum",
     "patching_rect": [
      70,
      488,
      60,
      22
     ],
     "minimum": 0.0,
     "maximum": 3.0,
     "numinlets": 1,
     "numoutlets": 2
    }
   },
   {
    "box": {
     "id": "obj-56",
     "maxclass": "comment",
     "patching_rect": [
      140,
      488,
      541,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "resynthesis (0 (auto) or 1 (input-phase) or 2 (griffin-lim) or 3 (vocoder))"
    }
   },
   {
    "box": {
     "id": "obj-57",
     "maxclass": "newobj",
     "patching_rect": [
      140,
      512,
      240,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend /rtvox/param/resynthesis"
    }
   },
   {
    "box": {
     "id": "obj-58",
     "maxclass": "newobj",
     "patching_rect": [
      320,
      512,
      93,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend set"
    }
   },
   {
    "box": {
     "id": "obj-59",
     "maxclass": "toggle",
     "patching_rect": [
      20,
      542,
      24,
      24
     ],
     "numinlets": 1,
     "numoutlets": 1
    }
   },
   {
    "box": {
     "id": "obj-60",
     "maxclass": "flonum",
     "patching_rect": [
      70,
      542,
      60,
      22
     ],
     "minimum": 0.0,
     "maximum": 1.0,
     "numinlets": 1,
     "numoutlets": 2
    }
   },
   {
    "box": {
     "id": "obj-61",
     "maxclass": "comment",
     "patching_rect": [
      140,
      542,
      219,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "phase (0 (free) or 1 (input))"
    }
   },
   {
    "box": {
     "id": "obj-62",
     "maxclass": "newobj",
     "patching_rect": [
      140,
      566,
      198,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend /rtvox/param/phase"
    }
   },
   {
    "box": {
     "id": "obj-63",
     "maxclass": "newobj",
     "patching_rect": [
      320,
      566,
      93,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend set"
    }
   },
   {
    "box": {
     "id": "obj-64",
     "maxclass": "dial",
     "patching_rect": [
      20,
      596,
      40,
      40
     ],
     "min": 0.0,
     "size": 64.0,
     "floatoutput": 1,
     "numinlets": 1,
     "numoutlets": 1
    }
   },
   {
    "box": {
     "id": "obj-65",
     "maxclass": "flonum",
     "patching_rect": [
      70,
      596,
      60,
      22
     ],
     "minimum": 0.0,
     "maximum": 64.0,
     "numinlets": 1,
     "numoutlets": 2
    }
   },
   {
    "box": {
     "id": "obj-66",
     "maxclass": "comment",
     "patching_rect": [
      140,
      596,
      156,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "iterations (0 to 64)"
    }
   },
   {
    "box": {
     "id": "obj-67",
     "maxclass": "newobj",
     "patching_rect": [
      140,
      620,
      233,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend /rtvox/param/iterations"
    }
   },
   {
    "box": {
     "id": "obj-68",
     "maxclass": "newobj",
     "patching_rect": [
      320,
      620,
      93,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend set"
    }
   },
   {
    "box": {
     "id": "obj-69",
     "maxclass": "dial",
     "patching_rect": [
      20,
      650,
      40,
      40
     ],
     "min": -2.0,
     "size": 5.0,
     "floatoutput": 1,
     "numinlets": 1,
     "numoutlets": 1
    }
   },
   {
    "box": {
     "id": "obj-70",
     "maxclass": "flonum",
     "patching_rect": [
      70,
      650,
      60,
      22
     ],
     "minimum": -2.0,
     "maximum": 3.0,
     "numinlets": 1,
     "numoutlets": 2
    }
   },
   {
    "box": {
     "id": "obj-71",
     "maxclass": "comment",
     "patching_rect": [
      140,
      650,
      205,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "look_ahead (-2 to 3 frames)"
    }
   },
   {
    "box": {
     "id": "obj-72",
     "maxclass": "newobj",
     "patching_rect": [
      140,
      674,
      233,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend /rtvox/param/look_ahead"
    }
   },
   {
    "box": {
     "id": "obj-73",
     "maxclass": "newobj",
     "patching_rect": [
      320,
      674,
      93,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend set"
    }
   },
   {
    "box": {
     "id": "obj-74",
     "maxclass": "toggle",
     "patching_rect": [
      20,
      704,
      24,
      24
     ],
     "numinlets": 1,
     "numoutlets": 1
    }
   },
   {
    "box": {
     "id": "obj-75",
     "maxclass": "flonum",
     "patching_rect": [
      70,
      704,
      60,
      22
     ],
     "minimum": 0.0,
     "maximum": 1.0,
     "numinlets": 1,
     "numoutlets": 2
    }
   },
   {
    "box": {
     "id": "obj-76",
     "maxclass": "comment",
     "patching_rect": [
      140,
      704,
      268,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "miss_policy (0 (dry) or 1 (silence))"
    }
   },
   {
    "box": {
     "id": "obj-77",
     "maxclass": "newobj",
     "patching_rect": [
      140,
      728,
      240,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend /rtvox/param/miss_policy"
    }
   },
   {
    "box": {
     "id": "obj-78",
     "maxclass": "newobj",
     "patching_rect": [
      320,
      728,
      93,
      22
     ],
     "numinlets": 1,
     "numoutlets": 1,
     "text": "prepend set"
    }
   }
  ],
  "lines": [
   {
    "patchline": {
     "source": [
      "obj-3",
      0
     ],
     "destination": [
      "obj-4",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-4",
      0
     ],
     "destination": [
      "obj-2",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-5",
      0
     ],
     "destination": [
      "obj-6",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      0
     ],
     "destination": [
      "obj-7",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      1
     ],
     "destination": [
      "obj-10",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-10",
      0
     ],
     "destination": [
      "obj-11",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-11",
      0
     ],
     "destination": [
      "obj-12",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-12",
      0
     ],
     "destination": [
      "obj-9",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-10",
      1
     ],
     "destination": [
      "obj-9",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-9",
      1
     ],
     "destination": [
      "obj-13",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-13",
      0
     ],
     "destination": [
      "obj-2",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      2
     ],
     "destination": [
      "obj-14",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-14",
      0
     ],
     "destination": [
      "obj-9",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      3
     ],
     "destination": [
      "obj-15",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      4
     ],
     "destination": [
      "obj-16",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-17",
      0
     ],
     "destination": [
      "obj-18",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-18",
      0
     ],
     "destination": [
      "obj-2",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-19",
      0
     ],
     "destination": [
      "obj-20",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-20",
      0
     ],
     "destination": [
      "obj-22",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-22",
      0
     ],
     "destination": [
      "obj-2",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      5
     ],
     "destination": [
      "obj-23",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-23",
      0
     ],
     "destination": [
      "obj-19",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-23",
      0
     ],
     "destination": [
      "obj-20",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-24",
      0
     ],
     "destination": [
      "obj-25",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-25",
      0
     ],
     "destination": [
      "obj-27",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-27",
      0
     ],
     "destination": [
      "obj-2",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      6
     ],
     "destination": [
      "obj-28",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-28",
      0
     ],
     "destination": [
      "obj-24",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-28",
      0
     ],
     "destination": [
      "obj-25",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-29",
      0
     ],
     "destination": [
      "obj-30",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-30",
      0
     ],
     "destination": [
      "obj-32",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-32",
      0
     ],
     "destination": [
      "obj-2",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      7
     ],
     "destination": [
      "obj-33",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-33",
      0
     ],
     "destination": [
      "obj-29",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-33",
      0
     ],
     "destination": [
      "obj-30",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-34",
      0
     ],
     "destination": [
      "obj-35",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-35",
      0
     ],
     "destination": [
      "obj-37",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-37",
      0
     ],
     "destination": [
      "obj-2",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      8
     ],
     "destination": [
      "obj-38",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-38",
      0
     ],
     "destination": [
      "obj-34",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-38",
      0
     ],
     "destination": [
      "obj-35",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-39",
      0
     ],
     "destination": [
      "obj-40",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-40",
      0
     ],
     "destination": [
      "obj-42",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-42",
      0
     ],
     "destination": [
      "obj-2",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      9
     ],
     "destination": [
      "obj-43",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-43",
      0
     ],
     "destination": [
      "obj-39",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-43",
      0
     ],
     "destination": [
      "obj-40",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-44",
      0
     ],
     "destination": [
      "obj-45",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-45",
      0
     ],
     "destination": [
      "obj-47",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-47",
      0
     ],
     "destination": [
      "obj-2",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      10
     ],
     "destination": [
      "obj-48",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-48",
      0
     ],
     "destination": [
      "obj-44",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-48",
      0
     ],
     "destination": [
      "obj-45",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-49",
      0
     ],
     "destination": [
      "obj-50",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-50",
      0
     ],
     "destination": [
      "obj-52",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-52",
      0
     ],
     "destination": [
      "obj-2",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      11
     ],
     "destination": [
      "obj-53",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-53",
      0
     ],
     "destination": [
      "obj-49",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-53",
      0
     ],
     "destination": [
      "obj-50",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-54",
      0
     ],
     "destination": [
      "obj-55",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-55",
      0
     ],
     "destination": [
      "obj-57",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-57",
      0
     ],
     "destination": [
      "obj-2",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      12
     ],
     "destination": [
      "obj-58",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-58",
      0
     ],
     "destination": [
      "obj-54",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-58",
      0
     ],
     "destination": [
      "obj-55",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-59",
      0
     ],
     "destination": [
      "obj-60",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-60",
      0
     ],
     "destination": [
      "obj-62",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-62",
      0
     ],
     "destination": [
      "obj-2",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      13
     ],
     "destination": [
      "obj-63",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-63",
      0
     ],
     "destination": [
      "obj-59",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-63",
      0
     ],
     "destination": [
      "obj-60",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-64",
      0
     ],
     "destination": [
      "obj-65",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-65",
      0
     ],
     "destination": [
      "obj-67",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-67",
      0
     ],
     "destination": [
      "obj-2",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      14
     ],
     "destination": [
      "obj-68",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-68",
      0
     ],
     "destination": [
      "obj-64",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-68",
      0
     ],
     "destination": [
      "obj-65",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-69",
      0
     ],
     "destination": [
      "obj-70",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-70",
      0
     ],
     "destination": [
      "obj-72",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-72",
      0
     ],
     "destination": [
      "obj-2",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      15
     ],
     "destination": [
      "obj-73",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-73",
      0
     ],
     "destination": [
      "obj-69",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-73",
      0
     ],
     "destination": [
      "obj-70",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-74",
      0
     ],
     "destination": [
      "obj-75",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-75",
      0
     ],
     "destination": [
      "obj-77",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-77",
      0
     ],
     "destination": [
      "obj-2",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-6",
      16
     ],
     "destination": [
      "obj-78",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-78",
      0
     ],
     "destination": [
      "obj-74",
      0
     ]
    }
   },
   {
    "patchline": {
     "source": [
      "obj-78",
      0
     ],
     "destination": [
      "obj-75",
      0
     ]
    }
   }
  ]
 }
}
