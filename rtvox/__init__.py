"""rtvox: turn a live voice into something else while it is being sung.

The data path, one hop of 256 samples (5.33 ms) at a time::

    mic -> callback -> Timeline -> gain, gate -> Analyzer -> OnnxStage -> Synthesizer
                               (mel: Analyzer -> LogMel -> OnnxStage -> MelInverse -> GriffinLim, or Synthesizer
                                or Analyzer -> Listener -> LogMel -> OnnxStage -> OnnxStage (vocoder) -> GriffinLim)
        -> dry/wet, gain, limiter -> Timeline -> callback -> speaker, virtual device or file

The files by job:

* the contract: `stage` (Stage, Pipeline, prefill), `errors` (RtvoxError and its children)
* signal: `features` (FeatureSpec, log_mel), `stft` (Analyzer, Synthesizer), `mel` (LogMel, MelInverse),
  `griffin_lim` (GriffinLim: sound from magnitudes alone), `synthesis` (which of them, or a vocoder, makes the sound),
  `levels` (gain, gate, limiter, meters)
* what a network is told beside the signal: `pitch` (PitchTracker: pitch, voicing, loudness), `listener` (Listener,
  the stage that measures them)
* speech: `phonemes` (text as numbers), `speaker` (Speaker: text to hops of sound), `speech` (Speech: into an engine)
* models: `model_file` (ModelFile, one .onnx file), `model_graph` (what its graph may hold), `manifest` (Manifest, what
  it says of itself) and `manifest_json` (how that is read), `golden` (its proof), `onnx_stage` (OnnxStage, a network as
  a stage)
* where they run: `providers` (PROVIDERS, the table), `provider_choice` (which one, by trial), `onnx_session` (sessions
  of onnxruntime), `network` (Network, a session with its buffers), `network_thread` (the same, apart and watched)
* the machine: `engine` (Engine), `keeper` (the device while it runs, and when it is lost), `loader` (models, loaded
  aside), `status` (Status, Latency), `params` (PARAMS, the table of controls), `player` (the audio callback),
  `converter` (the converter thread), `mixer` (what happens to a hop), `chain` (a model with its dry path), `timeline`
  (Timeline), `resample`, `record` (Recorder), `ring` (RingBuffer), `realtime`, `priority` (of threads)
* sound in and out: `device` (the Device protocol), `file_device` (FileDevice), `devices` (SoundCard), `device_list`,
  `host` (rows and streams), per sound system what is there and how it runs: `portaudio` and `portaudio_stream`,
  `pulse` and `pulse_stream`, `jack_host`; `rhythm` (in what bursts callbacks come), `virtual` (virtual microphones),
  `loopback` (the measurement)
* steering it from elsewhere: `session` (an engine by name), `presets`, `file_names`, `tap_tempo`; `osc` (OscClient,
  packets), `osc_tree` (all addresses), `osc_commands` (what they do), `osc_server` and `osc_peers` (UDP, TCP),
  `osc_worker`, `osc_notices`, `osc_query`
* the command line: `__main__`, `commands`; what it calls: `convert`, `bench` and `survey` (measurements), `demo`,
  `report`, `patches` (examples for Pure Data and Max), `machine` (what this one is), `doctor`, `doctor_system` and
  `doctor_sound` (whether it is fit)

Importing this package imports none of them, so that training can take `rtvox.features` without the runtime's libraries.
Read in this order: README.md, `stage`, `engine`, `features`, tests/test_streaming.py.
"""

__version__ = "0.1.0"
