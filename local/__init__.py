"""Runs the whole chat service on one machine: private servers, every role and the edge.

`python -m local` is the command line behind the Makefile; `local.stack.Stack` is for tests.
Everything of a running stack lies in `.run/<stack>/`, listens on loopback only and is a child of
one supervisord.
"""
