"""A small test runner: named tests in file order, a line each, a closing line that counts.

A test is a function with the decorator @test. It fails by raising, it is
skipped by raising Skip. With CI=true in the environment a skip is a failure,
because in CI nothing may be missing. Cleanups registered with `at_exit` run
in reverse order, also after SIGTERM, SIGINT or a failed test.

A test that fails by raising TookTooLong may have had the bad luck of a busy
machine: its line says so, and tests/run-all runs it once more by itself. Any
other failure is final, so what is about a leak, a rule left behind or a crash
must never be a TookTooLong.

What a failed test leaves behind is kept (`on_failure`) in a directory of its
own below KS_EVIDENCE, which is build/check/evidence unless set.
"""

import atexit
import fnmatch
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback


class Skip(Exception):
    """The test cannot run here; the message says why."""


class TookTooLong(AssertionError):
    """Something did not happen in time."""


LATE = "took too long: "     # begins the note of a failure that may be chance
EVIDENCE = os.environ.get("KS_EVIDENCE") or os.path.join(
    os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")), "build", "check", "evidence")

_tests = []
_cleanups = []
_witnesses = []
_running = None


def test(function):
    """Register a test; its name is its claim."""
    _tests.append(function)
    return function


def at_exit(function, *args):
    """Run FUNCTION at the end, however the end comes (not after SIGKILL)."""
    _cleanups.append((function, args))


def on_failure(function):
    """Call FUNCTION(directory) when a test has failed: it writes what it knows into files of that DIRECTORY.

    It may return a text: something seen that makes the failure final, such as a crash.
    """
    _witnesses.append(function)


def running():
    """The name of the test that runs."""
    return _running


def _keep_evidence(name):
    """Ask the witnesses of the test NAME; returns what they have seen."""
    directory = os.path.join(EVIDENCE, f"{os.path.splitext(os.path.basename(sys.argv[0]))[0]}-{name}")
    shutil.rmtree(directory, True)
    os.makedirs(directory)
    seen = []
    for witness in _witnesses:
        try:
            seen.append(witness(directory))
        except Exception:  # what one witness cannot tell, another may
            traceback.print_exc()
    if os.listdir(directory):
        print(f"        kept in {os.path.relpath(directory)}", flush=True)
    else:
        os.rmdir(directory)
    return [text for text in seen if text]


def _clean_up():
    while _cleanups:
        function, args = _cleanups.pop()
        try:
            function(*args)
        except Exception:  # a cleanup that fails must not hide the next one
            traceback.print_exc()


def _terminate(signum, _frame):
    sys.exit(128 + signum)


def check(condition, message):
    """An assertion that survives python -O."""
    if not condition:
        raise AssertionError(message)


def equal(got, expected, what):
    check(got == expected, f"{what}: expected {expected!r}, got {got!r}")


def wait_for(function, timeout, what, interval=0.1, error=TookTooLong):
    """Call FUNCTION until it returns something true; return that.

    ERROR is raised if it does not within TIMEOUT seconds: AssertionError where being late is wrong in itself.
    """
    end = time.monotonic() + timeout
    while True:
        value = function()
        if value:
            return value
        if time.monotonic() > end:
            raise error(f"not within {timeout:g} s: {what}")
        time.sleep(interval)


def main(setup=None):
    """Run the tests whose names match the arguments; without arguments, all of them.

    SETUP, if given, is called once before the first test; if it raises Skip,
    every test is skipped, if it fails, every test fails.
    """
    atexit.register(_clean_up)
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, _terminate)
    signal.signal(signal.SIGHUP, _terminate)

    patterns = sys.argv[1:]
    chosen = [t for t in _tests
              if not patterns or any(fnmatch.fnmatch(t.__name__, p) for p in patterns)]
    counts = {"ok": 0, "FAILED": 0, "SKIPPED": 0}
    begin = time.monotonic()
    broken = _attempt(setup, "setup") if setup is not None and chosen else None
    for function in chosen:
        start = time.monotonic()
        verdict, note = broken or _attempt(function, function.__name__) or ("ok", "")
        counts[verdict] += 1
        print(f"{verdict:8}{function.__name__}  ({time.monotonic() - start:.1f} s)"
              + (f"  {note}" if note else ""), flush=True)
    _clean_up()
    print(f"{os.path.basename(sys.argv[0])}: {time.monotonic() - begin:.0f} s")
    print(f"{counts['ok']} passed, {counts['FAILED']} failed, {counts['SKIPPED']} skipped", flush=True)
    if not chosen:
        print("no test has such a name", file=sys.stderr)
        sys.exit(2)
    sys.exit(1 if counts["FAILED"] or (counts["SKIPPED"] and os.environ.get("CI") == "true") else 0)


def _attempt(function, name):
    """Call FUNCTION; None if it returns, else (verdict, note)."""
    global _running
    _running = name
    try:
        function()
        return None
    except Skip as error:
        return "SKIPPED", str(error)
    except Exception as error:  # pylint: disable=broad-except
        traceback.print_exc()
        sys.stderr.flush()
        seen = _keep_evidence(name)
        note = "; ".join([f"{type(error).__name__}: {error}", *seen])
        late = isinstance(error, (TookTooLong, subprocess.TimeoutExpired)) and not seen
        return "FAILED", f"{LATE}{note}" if late else note
