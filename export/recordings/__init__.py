"""Recordings: what training listens to, and what is made where it is thin."""
