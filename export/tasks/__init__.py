"""What each kind of network is trained on, and against what: one file each, listed in `export/models.py`."""
