"""Runs on this machine: the volumes of one command, one volume by hand, and workers that died."""
