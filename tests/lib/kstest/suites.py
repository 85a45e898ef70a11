"""Runs suites in parallel and goes on after a failure; tests that were only late are run once more, alone.

A suite is a command whose output ends with a line `N passed, N failed, N
skipped`. Everything it writes is kept in a log. Of the tests written in Python
each failed one says by itself whether it may have been chance (runner.py,
TookTooLong), of those written in C each program (run-cmocka). These are run
again when nothing else runs any more, with a log of its own. One that then
passes is counted as passed and named as flaky. All others have failed: a leak, a rule left behind, a crash, and whatever is not known.

Often nothing but the end of the output is kept. So the report ends with every
failure and its reason, a line each, whatever the suite is written in and
however it failed, and these lines are short enough to be kept.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time

from .runner import LATE

CLOSING = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")
_FAILURE = re.compile(r"\s*(FAILED|SKIPPED|not ok)\b")                  # as the suites and TAP say it
_EVENT = re.compile(r"\[ *(RUN|OK|FAILED|SKIPPED) *\] (\w+)\s*$")       # as cmocka says it, perhaps behind the test's own output
_PLACE = re.compile(r"\[ +(ERROR|LINE) +\] --- ?")                      # with which it begins where a test has failed
_FILE = re.compile(r"--- (\S+)")                                        # as run-suite says it
_FILE_END = re.compile(r"    (\S+): \d+ passed, (\d+) failed, \d+ skipped in ([\d.]+) s(?:; (.*))?")
_RESULT = re.compile(r"(ok|FAILED|SKIPPED) +(\w+)  \([\d.]+ s\)(?:  (.*))?")
_RUN_SUITE = [sys.executable, "tests/run-suite"]
_REASON, _REASONS = 250, 2400   # characters of a failure in the report, and of all of them


class Job:
    """One suite: a command, its output, and the figures of its closing line."""

    def __init__(self, name, command, environment=None, again=False):
        self.name, self.command = name, command
        self._environment, self._again = environment or {}, again
        self.passed = self.failed = self.skipped = 0
        self.seconds, self.cpu, self.note = 0.0, 0.0, ""    # seconds of processors too
        self.failures, self.results = [], {}    # lines; {(file, test): (verdict, note)}
        self.files = []                         # (seconds, file)
        self.late_programs = {}                 # {program in C that has failed by that only: how many of its tests}
        self._process = None
        self._running, self._said = None, []    # the test in C that runs; what was printed since it or its file began
        self._told = 0                          # failures of this file that are in `failures`

    @property
    def log(self):
        return f"{self.name}{'.again' if self._again else ''}.log"

    def run(self, root, out, say):
        """Run it from the directory ROOT; each line of output goes to SAY and to the log in OUT."""
        start, closing, file = time.monotonic(), None, None
        path = os.path.join(out, self.log)
        evidence = os.path.join(out, f"{os.path.splitext(self.log)[0]}.failed")
        with open(path, "w", encoding="utf-8") as log:
            # a session of its own: it can be ended with all that it started
            self._process = subprocess.Popen(self.command, cwd=root,
                                             env={**os.environ, "KS_EVIDENCE": evidence, **self._environment},
                                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                             text=True, errors="backslashreplace", start_new_session=True)
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                closing = CLOSING.fullmatch(line.strip()) or closing
                file = self._take(line.rstrip("\n"), file)
                say(f"{self.name:>20} | {line.rstrip()}")
            # includes the processor time of all children that it has waited for
            _, wait_status, usage = os.wait4(self._process.pid, 0)
            status = self._process.returncode = os.waitstatus_to_exitcode(wait_status)
        self.seconds, self.cpu = time.monotonic() - start, usage.ru_utime + usage.ru_stime
        if closing:
            self.passed, self.failed, self.skipped = map(int, closing.groups())
        else:
            self.failed, self.note = 1, "did not run to its end"
        if status and not self.failed and not self.skipped:
            self.failed, self.note = 1, f"exit status {status}"
        if self.failed and not self.failures:   # the suite ended before a test could say anything
            self._fails(self.note or f"{self.failed} failed")
        if self.failed or status:
            self.note = f"{self.note}; see {os.path.relpath(path, root)}".lstrip("; ")

    def _fails(self, what):
        """Note that WHAT has failed, with the end of what was said before."""
        said = " ".join(_PLACE.sub("", line).strip() for line in self._said if line.strip())
        self.failures.append(f"FAILED  {what}" + (f": {said if len(said) <= _REASON else '...' + said[-_REASON:]}" if said else ""))
        self._said = []

    def _take(self, line, file):
        """Take note of a LINE of FILE; returns the file that the next line belongs to."""
        begin, end, result = _FILE.fullmatch(line), _FILE_END.match(line), _RESULT.fullmatch(line)
        event = _EVENT.search(line)
        if event and event[1] == "RUN":
            self._running, self._said = event[2], []
        elif event and event[2] == self._running:   # the summary at the end names it once more
            self._said.append(line[:event.start()])
            self._running = None
            if event[1] in ("FAILED", "SKIPPED"):
                self._told += event[1] == "FAILED"
                self._fails(event[2])
            self._said = []
        elif _FAILURE.match(line):
            self._told += bool(result and result[1] == "FAILED")
            self.failures.append(line.strip())
        elif not end:
            self._said = [*self._said[-9:], line]
        if end:
            if int(end[2]) > self._told:    # it crashed, hung, or its exit status is that of valgrind
                self._fails(f"{end[1]} ({end[4] or f'{end[2]} failed'})")
            self._told, self._running, self._said = 0, None, []
            self.files.append((float(end[3]), end[1]))
            if not end[1].endswith(".py") and end[4] == LATE.rstrip(": "):
                self.late_programs[end[1]] = int(end[2])
        if result:
            self.results[file, result[2]] = (result[1], result[3] or "")
        return begin[1] if begin else file

    def late(self):
        """{file: its tests that failed only because something took too long}; the tests of a program in C are not named."""
        late = {program: [] for program in self.late_programs}
        for (file, test), (verdict, note) in self.results.items():
            if file and verdict == "FAILED" and note.startswith(LATE):
                late.setdefault(file, []).append(test)
        return late

    def again(self, file, tests):
        """The job that runs these TESTS of FILE once more."""
        name = f"{self.name}-{os.path.splitext(os.path.basename(file))[0]}"
        if file in self.late_programs:
            return Job(name, self.command, {**self._environment, "TEST_ONLY": file}, True)
        return Job(name, [*_RUN_SUITE, file, *tests], self._environment, True)

    def take_back(self, file, tests, second):
        """Count those TESTS of FILE that pass in the SECOND attempt as passed; returns their names."""
        if file in self.late_programs:
            number = self.late_programs[file] if second.passed and not second.failed else 0
            self.passed += number
            self.failed -= number
            return [f"({number} tests)"] if number else []
        flaky = [test for test in tests if second.results.get((file, test), ("",))[0] == "ok"]
        if second.failed + second.passed + second.skipped != len(tests):
            return []   # it did not run to its end, or something else is wrong with it
        self.passed += len(flaky)
        self.failed -= len(flaky)
        return flaky

    def stop(self):
        """Ask it to end; it cleans up."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)

    def summary(self):
        return (f"{self.name:<30} {self.passed:5d} passed {self.failed:5d} failed {self.skipped:5d} skipped"
                f" {self.seconds:6.0f} s {self.cpu:6.0f} s CPU" + (f"  {self.note}" if self.note else ""))


class Run:
    """Jobs in QUEUES; each of WORKERS is the list of queues that it empties, one after the other.

    LATER are further workers, as pairs (queue, list of queues): each begins when the last job of that queue has begun.
    """

    def __init__(self, root, out, queues, workers, say=print, later=()):
        self._root, self._out, self._queues, self._say = root, out, queues, say
        self._workers = [((), worker) for worker in workers] + list(later)
        self.done, self.again, self.flaky = [], [], []
        self._lock, self._stopping = threading.Lock(), False

    def say(self, text):
        with self._lock:
            self._say(text)

    def _next(self, queues):
        with self._lock:
            queue = next(filter(None, queues), None)
            if self._stopping or not queue:
                return None
            self.done.append(queue.pop(0))
            return self.done[-1]

    def _run(self, job):
        self.say(f"{job.name:>20} === begins")
        try:
            job.run(self._root, self._out, self.say)
        except OSError as error:
            job.failed, job.note = 1, str(error)
        self.say(f"{job.name:>20} === {job.summary()}")

    def _work(self, before, queues):
        while before and not self._stopping:
            time.sleep(0.2)
        while (job := self._next(queues)) is not None:
            self._run(job)

    def all(self):
        """Run everything; then rerun what was late, one job after the other."""
        workers = [threading.Thread(target=self._work, args=worker) for worker in self._workers]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for job in self.done:
            for file, tests in job.late().items():
                if self._stopping:
                    return
                second = job.again(file, tests)
                self.again.append(second)
                self._run(second)
                self.flaky += [f"{file} {test} ({job.log}, {second.log})" for test in job.take_back(file, tests, second)]

    @property
    def left(self):
        """Whether something was not run."""
        return any(self._queues)

    def count(self, what):
        return sum(getattr(job, what) for job in self.done)

    def report(self):
        """Lines that say how long each suite and the slowest files took, what failed, and what is flaky; the last one counts."""
        lines = [job.summary() for job in self.done + self.again]
        files = sorted((each for job in self.done for each in job.files), reverse=True)
        lines += ["", *(f"{seconds:6.0f} s  {name}" for seconds, name in files if seconds >= 1), ""]
        failures = [f"{job.name}: {line}" for job in self.done + self.again for line in job.failures]
        length = max(100, min(_REASON, _REASONS // max(1, len(failures))))
        lines += [line if len(line) <= length else f"{line[:length - 3]}..." for line in failures]
        if self.left:
            lines += [f"not run: {', '.join(job.name for queue in self._queues for job in queue)}"]
        if self.flaky:
            lines += [f"{len(self.flaky)} flaky: {'; '.join(self.flaky)}"]
        return lines + [f"{self.count('passed')} passed, {self.count('failed')} failed, {self.count('skipped')} skipped"]

    def stop(self, signum, _frame):
        """End what is running, and start nothing more."""
        signal.signal(signum, signal.SIG_IGN)
        self._stopping = True
        for job in self.done + self.again:
            job.stop()
