"""A small test runner: named tests in file order, a line each, a closing line that counts.

A test is a function with the decorator @test. It fails by raising, it is
skipped by raising Skip. With CI=true in the environment a skip is a failure,
because in CI nothing may be missing. Cleanups registered with `at_exit` run
in reverse order, also after SIGTERM, SIGINT or a failed test.
"""

import atexit
import fnmatch
import os
import signal
import sys
import time
import traceback


class Skip(Exception):
    """The test cannot run here; says why."""


_tests = []
_cleanups = []


def test(function):
    """Register a test; its name is its claim."""
    _tests.append(function)
    return function


def at_exit(function, *args):
    """Run FUNCTION at the end, however the end comes (not after SIGKILL)."""
    _cleanups.append((function, args))


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


def wait_for(function, timeout, what, interval=0.1):
    """Call FUNCTION until it returns something true; return that."""
    end = time.monotonic() + timeout
    while True:
        value = function()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(interval)


def main(setup=None):
    """Run the tests whose names match the arguments (all without any).

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
    passed = failed = skipped = 0
    broken = None
    if setup is not None and chosen:
        try:
            setup()
        except Exception as error:  # pylint: disable=broad-except
            broken = error
            if not isinstance(error, Skip):
                traceback.print_exc()
    for function in chosen:
        start = time.monotonic()
        try:
            if broken is not None:
                raise broken if isinstance(broken, Skip) else AssertionError(f"set-up failed: {broken}")
            function()
            verdict, note = "ok", ""
            passed += 1
        except Skip as error:
            verdict, note = "SKIPPED", str(error)
            skipped += 1
        except Exception as error:  # pylint: disable=broad-except
            verdict, note = "FAILED", f"{type(error).__name__}: {error}"
            failed += 1
            if broken is None:
                traceback.print_exc()
        print(f"{verdict:8}{function.__name__}  ({time.monotonic() - start:.1f} s)"
              + (f"  {note}" if note else ""), flush=True)
    _clean_up()
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    if not chosen:
        print("no test has such a name", file=sys.stderr)
        sys.exit(2)
    sys.exit(1 if failed or (skipped and os.environ.get("CI") == "true") else 0)
