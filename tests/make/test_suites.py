#!/usr/bin/env python3
"""How the tests are run: what is tried again, what never is, what is counted and kept. With test files made for it."""

import importlib.machinery
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import evidence, vm_life, vm_vpn, wire
from kstest.machine import Machine
from kstest.runner import TookTooLong, at_exit, check, equal, main, test
from kstest.suites import Job, Run

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
HEAD = f"""
import os, sys
sys.path.insert(0, {os.path.join(ROOT, "tests", "lib")!r})
from kstest.runner import Skip, TookTooLong, main, on_failure, test, wait_for

def attempt(name):
    # How often NAME has been tried, this time included.
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    with open(path, "a") as file:
        file.write("x")
    return os.path.getsize(path)

@test
def passes():
    attempt("passes")
"""


class Trial:
    """A file of tests, run as tests/run-all does."""

    def __init__(self, body, setup=""):
        self.directory = tempfile.mkdtemp(prefix="ks-suites-")
        at_exit(shutil.rmtree, self.directory, True)
        self.out = os.path.join(self.directory, "out")
        os.mkdir(self.out)
        self.path = os.path.join(self.directory, "test_trial.py")
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(f"{HEAD}\n{body}\nif __name__ == '__main__':\n    main({setup})\n")
        self.output = []
        job = Job("trial", [sys.executable, "tests/run-suite", self.path], {"CI": "false"})
        queue = [job]
        self.run = Run(ROOT, self.out, [queue], [[queue]], self.output.append)
        self.run.all()
        self.report = self.run.report()

    def attempts(self, name):
        path = os.path.join(self.directory, name)
        return os.path.getsize(path) if os.path.exists(path) else 0

    def log(self, name):
        with open(os.path.join(self.out, name), encoding="utf-8") as file:
            return file.read()

    def expect(self, closing, flaky=0):
        equal(self.report[-1], closing, f"the closing line after {self.report}")
        named = [line for line in self.report if " flaky: " in line]
        equal(len(named), min(flaky, 1), f"lines that name flaky tests in {self.report}")
        if flaky:
            check(named[0].startswith(f"{flaky} flaky: "), named[0])
            equal(self.report[-2], named[0], "the line above the last one")


def _fails_with(statement):
    """A file with one failing test, which is not to be tried again."""
    trial = Trial(f"@test\ndef fails():\n    attempt('fails')\n    {statement}\n")
    equal(trial.attempts("fails"), 1, f"attempts after {statement}")
    equal(trial.run.again, [], "second attempts")
    trial.expect("1 passed, 1 failed, 0 skipped")
    return trial


# What is tried again

@test
def a_test_that_is_late_once_is_flaky_and_counts_as_passed():
    trial = Trial("@test\ndef late():\n    wait_for(lambda: attempt('late') > 2, 0.05, 'the third attempt', 0.2)\n")
    # two looks in the first attempt
    equal((trial.attempts("late"), trial.attempts("passes")), (3, 1), "attempts")
    trial.expect("2 passed, 0 failed, 0 skipped", flaky=1)
    check(any("late" in line and "test_trial.py" in line and " flaky: " in line for line in trial.report), str(trial.report))


@test
def both_logs_of_a_flaky_test_are_kept_and_what_it_left():
    trial = Trial("""
@on_failure
def witness(directory):
    open(os.path.join(directory, "journal"), "w").write("seen")

@test
def late():
    print("attempt", attempt("late"))
    if attempt("late") < 3:
        raise TookTooLong("the server")
""")
    trial.expect("2 passed, 0 failed, 0 skipped", flaky=1)
    first, second = trial.log("trial.log"), trial.log("trial-test_trial.again.log")
    check("attempt 1" in first and "took too long: TookTooLong: the server" in first, first)
    check("attempt 3" in second and "ok      late" in second, second)
    equal(trial.log("trial.failed/test_trial-late/journal"), "seen", "what the first attempt left")
    flaky = next(line for line in trial.report if " flaky: " in line)
    for name in ("trial.log", "trial-test_trial.again.log"):
        check(name in flaky, f"{name} is not named: {flaky}")


@test
def a_test_that_is_late_twice_has_failed():
    trial = Trial("@test\ndef late():\n    attempt('late')\n    raise TookTooLong('for ever')\n")
    equal(trial.attempts("late"), 2, "attempts")
    trial.expect("1 passed, 1 failed, 0 skipped")


@test
def a_test_that_leaks_in_the_second_attempt_has_failed():
    trial = Trial("""
@test
def late_then_leaks():
    if attempt("late") == 1:
        raise TookTooLong("the server")
    raise AssertionError("3 packets leaked")
""")
    equal(trial.attempts("late"), 2, "attempts")
    trial.expect("1 passed, 1 failed, 0 skipped")


@test
def a_command_that_hangs_is_late():
    trial = Trial("""
import subprocess
@test
def late():
    if attempt("late") == 1:
        subprocess.run(["sleep", "5"], timeout=0.1)
""")
    trial.expect("2 passed, 0 failed, 0 skipped", flaky=1)


@test
def a_late_setup_is_tried_again_for_all_tests():
    trial = Trial("""
def set_up():
    if attempt("set_up") == 1:
        raise TookTooLong("the machine")
""", "set_up")
    equal((trial.attempts("set_up"), trial.attempts("passes")), (2, 1), "attempts")
    trial.expect("1 passed, 0 failed, 0 skipped", flaky=1)


def _programs(*scripts):
    """Programs in C, which these shell SCRIPTS stand for, run as tests/run-all does; returns (directory, Run, report)."""
    directory = tempfile.mkdtemp(prefix="ks-suites-")
    at_exit(shutil.rmtree, directory, True)
    paths = []
    for number, script in enumerate(scripts):
        paths.append(os.path.join(directory, f"test-{number}"))
        with open(paths[-1], "w", encoding="utf-8") as file:
            file.write(f"#!/bin/bash\necho x >>$0.attempts; n=$(wc -l <$0.attempts)\n"
                       "begin () { echo \"[==========] tests: Running $# test(s).\"; echo \"[ RUN      ] $1\"; }\n"
                       "ok () { echo \"[       OK ] $1\"; }\n"
                       "fail () { echo \"ERROR: $2\"; echo \"[  ERROR   ] --- [   LINE   ] --- t.c:1: error: Failure!\";"
                       " echo \"[  FAILED  ] $1\"; }\n"
                       f"{script}\n")
        os.chmod(paths[-1], 0o755)
    queue = [Job("programs", [sys.executable, "tests/run-cmocka", *paths],
                 {"CI": "false", "TEST_TIMEOUT": "3"})]
    run = Run(ROOT, directory, [queue], [[queue]], lambda _: None)
    run.all()
    return directory, run, run.report()


def _attempts_of(directory, number):
    with open(os.path.join(directory, f"test-{number}.attempts"), encoding="ascii") as file:
        return len(file.readlines())


@test
def a_program_in_c_that_is_late_once_is_flaky():
    for late in ("begin one; [ $n = 1 ] || { ok one; exit 0; }; fail one 'took too long: 7 ms and not at most 5'; exit 1",
                 "begin one two; ok one; echo '[ RUN      ] two'; [ $n = 1 ] && exec sleep 30; ok two"):
        directory, run, report = _programs("begin first; ok first", late)
        equal((_attempts_of(directory, 0), _attempts_of(directory, 1)), (1, 2), f"attempts after {late}")
        passed = 3 if "two" in late else 2
        equal(report[-1], f"{passed} passed, 0 failed, 0 skipped", f"the closing line of {late}")
        check(report[-2].startswith("1 flaky: ") and "programs-test-1.again.log" in report[-2], str(report))
        equal(len(run.again), 1, "second attempts")


@test
def a_program_in_c_that_is_late_twice_or_fails_otherwise_has_failed():
    for script, attempts in (("begin one; fail one 'took too long: x'; exit 1", 2),
                             ("begin one; fail one '0x1 != 0x2'; exit 1", 1),
                             ("begin one two; fail one 'took too long: x'; echo '[ RUN      ] two'; fail two '1 != 2'; exit 2", 1),
                             ("begin one; echo took too long: x; fail one '1 != 2'; exit 1", 1),
                             ("begin one; fail one 'took too long: x'; exit 99", 1),      # valgrind has found something
                             ("begin one; fail one 'took too long: x'; kill -SEGV $$", 1),
                             ("begin one two; fail one '1 != 2'; echo '[ RUN      ] two'; exec sleep 30", 1)):
        directory, run, report = _programs(script)
        equal(_attempts_of(directory, 0), attempts, f"attempts after {script}")
        equal(len(run.again), attempts - 1, "second attempts")
        check(not any(" flaky: " in line for line in report) and run.count("failed"), str(report))


# What never is

@test
def a_leak_is_never_tried_again():
    _fails_with("raise AssertionError('3 packets leaked')")


@test
def an_unknown_failure_is_never_tried_again():
    for statement in ("raise ValueError('what?')", "raise OSError(110, 'Connection timed out')",
                      "wait_for(lambda: False, 0.01, 'the rules are gone', error=AssertionError)"):
        _fails_with(statement)
    # its note only looks like that of a late one
    _fails_with("raise AssertionError('took too long: TookTooLong')")


@test
def a_late_test_that_saw_a_crash_or_a_leak_is_never_tried_again():
    for seen in ("crashed: nm-killswitch[7]: segfault", "2 packets leaked"):
        trial = _fails_with(f"on_failure(lambda directory: {seen!r}); raise TookTooLong('the server')")
        check(any(seen in line for line in trial.report), f"{seen} is not reported: {trial.report}")


@test
def a_file_that_ends_half_way_has_failed_and_is_never_tried_again():
    trial = Trial("@test\ndef crashes():\n    attempt('crashes')\n    os.abort()\n")
    equal((trial.attempts("crashes"), trial.run.again), (1, []), "attempts")
    trial.expect("0 passed, 1 failed, 0 skipped")


@test
def a_skipped_test_is_skipped_once():
    trial = Trial("@test\ndef skips():\n    attempt('skips')\n    raise Skip('nothing here')\n")
    equal(trial.attempts("skips"), 1, "attempts")
    trial.expect("1 passed, 0 failed, 1 skipped")


# What is told at the end

def _told(report):
    """The lines of a REPORT below its tables."""
    return report[len(report) - report[::-1].index(""):]


@test
def whatever_failed_is_told_at_the_end_with_its_reason():
    for script, name, reason in (("begin one; fail one '0x1 != 0x2'; exit 1", "one", "0x1 != 0x2"),
                                 ("begin one; echo -n behind; fail one '7 leaks'; exit 1", "one", "7 leaks"),
                                 ("begin one; echo 'Assertion x'; kill -SEGV $$", "test-0", "Assertion x"),
                                 ("begin one; ok one; echo 'definitely lost'; exit 99", "test-0", "definitely lost"),
                                 ("begin one two; ok one", "test-0", "1 tests did not run"),
                                 ("echo 'cannot open x'; exit 127", "test-0", "cannot open x")):
        told = _told(_programs(script)[2])
        equal(len(told), 2, f"lines that tell of {script}: {told}")
        check(told[0].startswith("programs: FAILED  ") and name in told[0] and reason in told[0], f"{script}: {told[0]}")
    told = _told(Trial("@test\ndef crashes():\n    print('about to')\n    sys.stdout.flush()\n    os.abort()\n").report)
    check(len(told) == 2 and "without a closing line, exit status -6" in told[0] and "about to" in told[0], f"a crash: {told}")
    directory = tempfile.mkdtemp(prefix="ks-suites-")
    at_exit(shutil.rmtree, directory, True)
    queue = [Job("broken", ["sh", "-c", "echo no rule to make target; exit 2"])]
    run = Run(ROOT, directory, [queue], [[queue]], lambda _: None)
    run.all()
    told = _told(run.report())
    check("did not run to its end" in told[0] and "no rule to make target" in told[0], f"a suite that does not run: {told}")


@test
def what_is_told_at_the_end_is_short_enough_to_be_kept():
    trial = Trial("".join(f"@test\ndef fails_{number}():\n    raise AssertionError('why ' + 'x' * 999)\n" for number in range(20)))
    told = _told(trial.report)
    equal(len(told), 21, "lines")
    check(len("\n".join(told)) < 2600, f"{len(chr(10).join(told))} bytes")
    for number in range(20):
        check(any(f"fails_{number} " in line and "why" in line for line in told), f"test {number} is not told: {told}")


# What the tests say of themselves

class _Packets:
    """A wire on which there are LEAKS since each mark."""

    def __init__(self, leaks):
        self.leak = leaks

    def mark(self):
        return 0

    def since(self, *_):
        return self


class _Guest:
    """A virtual machine in which nothing that is waited for comes."""

    def __init__(self, leaks=()):
        self.wire, self.wire2 = _Packets(list(leaks)), None

    def ask(self, *_):
        return {"held": False}

    def run(self, *_, **__):
        return False


def _late():
    raise TookTooLong("the server")


def _raised(function, *arguments):
    try:
        function(*arguments)
    except AssertionError as error:
        return error
    raise ValueError("nothing was raised")


@test
def a_leak_meanwhile_counts_more_than_being_late():
    error = _raised(vm_vpn.assert_no_leak, _Guest(["ping"]), "up", _late)
    check(not isinstance(error, TookTooLong) and "1 packets leaked" in str(error), repr(error))
    check(isinstance(_raised(vm_vpn.assert_no_leak, _Guest(), "up", _late), TookTooLong), "without a leak it was only late")


class _Wire:
    """A wire of the namespaces on which one record of this KIND came since each mark."""

    def __init__(self, kind):
        self._record = wire.Record(0, 60, bytes(60))
        self._record.kind = kind

    def mark(self):
        return 0

    def since(self, *_):
        return [self._record]


@test
def a_leak_that_a_late_test_has_not_come_to_judge_is_seen():
    for kind, killswitch, looks, seen in (("leak", True, False, True), ("leak", True, True, True), ("arp-foreign", True, False, True),
                                          ("transport", True, False, False), ("leak", False, False, False)):
        machine = Machine.__new__(Machine)
        machine.killswitch, machine.wires, machine._unjudged = killswitch, [_Wire(kind)], []
        mark = machine.mark()
        if looks:
            machine.since(mark)
        equal(bool(machine._leaked(None)), seen, f"a leak is seen with {kind}, kill switch {killswitch}, looked {looks}")


@test
def a_rule_left_behind_is_not_late():
    for function, arguments, late in (
            (vm_life.wait_released, ("x",), False), (vm_life.wait_armed, ("x",), True),
            (vm_vpn.wait_state, ("no rules", "x"), False), (vm_vpn.wait_idle, (), True),
            (vm_life.wait_rule, ("^8305:", "x", False), False), (vm_life.wait_rule, ("^8305:", "x"), True)):
        equal(isinstance(_raised(function, _Guest(), *arguments), TookTooLong), late, f"{function.__name__}{arguments} is late")


@test
def a_run_that_had_to_wait_for_the_lock_is_late_and_no_other_failed_unit():
    failed = {"SYSLOG_IDENTIFIER": "systemd", "MESSAGE": "nm-killswitch-heal.service: Failed with result 'exit-code'."}
    with open(os.path.join(ROOT, "plugin", "report", "ks-log.h"), encoding="utf-8") as file:
        error = re.search(r'KS_MESSAGE_ERROR "(\w+)"', file.read())[1]
    busy, other = ({"SYSLOG_IDENTIFIER": "nm-killswitch", "MESSAGE_ID": error, "MESSAGE": text} for text in (
        "only added what was missing, and removed nothing: cannot lock /run/nm-killswitch/lock: another run holds it",
        "2 of 56 probes would get out past the kill switch: `nm-killswitch check` shows which"))
    crashed = {"SYSLOG_IDENTIFIER": "systemd", "MESSAGE": "nm-killswitch-heal.service: Failed with result 'core-dump'."}
    vm_life.assert_no_complaint([busy], "no unit failed")
    for entries, late in (([busy, failed], True), ([failed], False), ([other, failed], False), ([busy, other, failed], False),
                          ([busy, crashed], False), ([busy, failed, crashed], False)):
        equal(isinstance(_raised(vm_life.assert_no_complaint, entries, "x"), TookTooLong), late, f"{entries} is late")


@test
def a_crash_is_recognised_in_a_log_and_a_killed_program_is_not_one():
    for line in ("kernel: nm-killswitch[312]: segfault at 0 ip 0000 sp 0000 error 4 in nm-killswitch[5581]",
                 "systemd[1]: nm-killswitch-heal.service: Main process exited, code=dumped, status=6/ABRT",
                 "nm-dispatcher[9]: req:4 'up' [wg0], \"/usr/lib/NetworkManager/dispatcher.d/10-killswitch\": died with signal 11",
                 "Kernel panic - not syncing: Attempted to kill init!"):
        check(evidence.crashes(f"systemd[1]: Started.\n{line}\n"), f"not taken for a crash: {line}")
    for line in ("systemd[1]: nm-killswitch-sync.service: Main process exited, code=killed, status=9/KILL",
                 "systemd[1]: nm-killswitch-settle.service: Failed with result 'exit-code'.",
                 "kernel: python3[312]: segfault at 0 ip 0000 sp 0000 error 4 in libc"):
        check(not evidence.crashes(line), f"taken for a crash: {line}")


# The plans

def _run_all():
    loader = importlib.machinery.SourceFileLoader("run_all", os.path.join(ROOT, "tests", "run-all"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_all", loader))
    loader.exec_module(module)
    return module


@test
def check_full_runs_everything_that_check_runs_and_every_file():
    os.environ.pop("KS_VM_RELEASE", None)
    some, everything = ([job.name for jobs in _run_all().plan([name]) for job in jobs] for name in ("check", "check-full"))
    equal(sorted(set(some) - set(everything)), [], "only in `check`")
    equal(len(set(everything)), len(everything), "suites of different names")
    for start in ("unit", "make-", "sanitizers", "kernel", "nm-", "attacks-", "vm-boot-", "vm-wireguard-", "vm-lifecycle"):
        check(any(name.startswith(start) for name in some), f"{start} is not in `check`")
    check("valgrind" in everything, "valgrind is not in `check-full`")
    for suite in ("make", "nm", "attacks", "vm"):
        for name in os.listdir(os.path.join(ROOT, "tests", suite)):
            if name.startswith("test_"):
                check(any(job.startswith(f"{suite}-{name[5:-3]}") for job in everything), f"{suite}/{name} is not in `check-full`")
    for release in ("bookworm", "trixie"):
        check(any(job.endswith(release) for job in everything), f"{release} is not in `check-full`")


def _queues(seconds, **counts):
    """A directory, and for each name in COUNTS a queue of so many jobs that pass after SECONDS."""
    directory = tempfile.mkdtemp(prefix="ks-suites-")
    at_exit(shutil.rmtree, directory, True)
    say = f"sleep {seconds}; echo 1 passed, 0 failed, 0 skipped"
    return (directory, *([Job(f"{queue}{number}", ["sh", "-c", say]) for number in range(count)] for queue, count in counts.items()))


@test
def a_worker_takes_from_its_other_queue_when_the_first_is_empty():
    directory, one, two = _queues(0.3, a=4, b=1)
    run = Run(ROOT, directory, [one, two], [[one], [two, one]], lambda _: None)
    run.all()
    equal(run.report()[-1], "5 passed, 0 failed, 0 skipped", "the closing line")
    check(not run.left, "something was not run")
    equal([job.name for job in run.done][:2], ["a0", "b0"], "what begins")


@test
def a_worker_can_begin_once_a_queue_is_empty():
    directory, one, two = _queues(0.5, a=2, b=3)
    said = []
    run = Run(ROOT, directory, [one, two], [[one, two]], said.append, [(one, [two])])
    run.all()
    equal(run.report()[-1], "5 passed, 0 failed, 0 skipped", "the closing line")
    steps = [line.split()[0] + (" begins" if line.endswith("begins") else "") for line in said if "===" in line]
    equal(steps[:3], ["a0 begins", "a0", "a1 begins"], "one at a time")
    check(steps.index("b0 begins") < steps.index("a1"), f"the other has not begun with the last of the queue: {steps}")


@test
def a_suite_that_does_not_exist_is_refused():
    result = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "run-all"), "everything"], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=30, check=False)
    check(result.returncode == 2 and "usage" in result.stderr, f"{result.returncode}: {result.stderr}")


if __name__ == "__main__":
    main()
