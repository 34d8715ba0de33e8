"""The networks, one file each, built from the streaming layers in `streaming.py`.

Every network is a torch module whose `forward(spectrum, controls, state)` takes any number of frames and returns the
output and the next state: the same function trains (one long stretch, zero state), exports (one frame) and is proved.
"""
