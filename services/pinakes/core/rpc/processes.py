# SPDX-License-Identifier: Apache-2.0
"""Several server processes on one port: the kernel spreads connections over them (SO_REUSEPORT)."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from pinakes.core.telemetry import metrics

_PAUSE_SECONDS = 0.5


def run_many(count: int, serve: Callable[[], None]) -> None:
    """Fork `count` servers, pass signals on to them, and start one anew that died without being asked to.

    Forks before gRPC or a thread is started, since neither survives a fork.
    """
    if metrics.MULTIPROC not in os.environ:
        # prometheus-client looks for the folder when it is imported, so the program begins anew with it.
        os.environ[metrics.MULTIPROC] = tempfile.mkdtemp(prefix="pinakes-metrics-")
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606  # this very program; its first word may lack the path
    children: set[int] = set()
    asked: set[int] = set()  # the signals to stop that have come

    def stop(number: int, _frame: FrameType | None) -> None:
        asked.add(number)
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for _ in range(count):
        children.add(_fork(serve))
    worst = 0
    while children:
        pid, status = os.wait()
        children.discard(pid)
        metrics.forget_process(pid)
        code = os.waitstatus_to_exitcode(status)
        worst = max(worst, code)
        if asked:
            continue
        if code >= 0:
            # It ended by itself, so would another: end the rest too, and whoever started us sees the code.
            stop(signal.SIGTERM, None)
            continue
        sys.stderr.write(f"pinakes: server process {pid} died by signal {-code}; starting another\n")
        time.sleep(_PAUSE_SECONDS)
        if not asked:
            children.add(another := _fork(serve))
            if asked:  # the signal came while it was forked
                os.kill(another, signal.SIGTERM)
    shutil.rmtree(os.environ[metrics.MULTIPROC], ignore_errors=True)
    raise SystemExit(worst)


def _fork(serve: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    code = 0
    try:
        serve()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
        if isinstance(error.code, str):
            sys.stderr.write(error.code + "\n")
    except BaseException as error:  # a child must never return into the parent's code
        sys.stderr.write(f"pinakes: {error!r}\n")
        code = 1
    os._exit(code)
