"""Recordings: what training listens to, and what is made where that is thin.

Real:  `library` decodes folders of recordings once; `mixes` draws training mixes from them; `credits` says whom to
       thank; `sentences` are takes whose text is known, with the time of each phoneme from `forced`.
Made:  `made` renders what a recipe wants: `songs` composes; `bands` plays the song (with `synth` and fluidsynth) to
       aligned stems; `singing` sings its melody with a reader's voice; `effects` is the studio both of them use.
"""
