"""The three programs as click knows them."""

from __future__ import annotations

from policyd.cli.app import app as policyctl
from policyd_server.command import serve_command
from policyd_trainer.__main__ import app as trainer

PROGRAMS = {"policyctl": policyctl, "policyd-server": serve_command, "policyd-trainer": trainer}
