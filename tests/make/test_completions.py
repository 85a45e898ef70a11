#!/usr/bin/env python3
"""The completions of bash, zsh and fish: they know each command and option of the program, and the names of profiles."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import runner
from kstest.runner import at_exit, check, equal, main, test

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
DIRECTORY = os.path.join(ROOT, "nm-conf", "completions")
FILES = {"bash": "nm-killswitch.bash", "zsh": "_nm-killswitch", "fish": "nm-killswitch.fish"}
NAMES = ("home", "hotel", "Work & Übung", "it's $HOME", "vpn")

_directory = None


def _run(*command, **options):
    return subprocess.run(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30,
                          check=False, **options)


def _need(shell):
    if not shutil.which(shell):
        raise runner.Skip(f"no {shell} here")


def _environment():
    """With a command that has these NAMES in front of the real one."""
    global _directory
    if _directory is None:
        _directory = tempfile.mkdtemp(prefix="ks-completions-")
        at_exit(shutil.rmtree, _directory, True)
        path = os.path.join(_directory, "nm-killswitch")
        with open(path, "w", encoding="utf-8") as file:
            file.write('#!/bin/sh\n[ "$*" = "list --names" ] || exit 9\ncat <<"END"\n' + "\n".join(NAMES) + "\nEND\n")
        os.chmod(path, 0o755)
    return dict(os.environ, PATH=f"{_directory}:{os.environ['PATH']}", LC_ALL="C.UTF-8")


def _commands():
    """{command: options} of the program's own help."""
    text = _run(os.path.join(ROOT, "build", "nm-killswitch"), "help").stdout
    found = {words.split()[0]: set(re.findall(r"--\w+", words))
             for words in re.findall(r"^  (\w.*)$", text, re.MULTILINE)}
    check(len(found) >= 10 and "--session" in found["enable"], f"the help: {text}")
    return found


@test
def each_shell_knows_each_command_and_option():
    for shell, name in FILES.items():
        with open(os.path.join(DIRECTORY, name), encoding="utf-8") as file:
            text = file.read()
        for command, options in _commands().items():
            check(re.search(rf"(?<![\w-]){command}(?![\w-])", text), f"{shell} does not know {command}")
            for option in options:
                check(re.search(rf"{option}\b" if shell != "fish" else rf"__nm_killswitch_command {command}' -l {option[2:]} ", text),
                      f"{shell} does not know {command} {option}")


def _bash(*words):
    """What bash offers for the last of WORDS."""
    script = (f'source {DIRECTORY}/{FILES["bash"]}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _nm_killswitch; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    result = _run("bash", "--norc", "-c", script, "bash", "nm-killswitch", *words, env=_environment())
    equal((result.returncode, result.stderr), (0, ""), "bash")
    return [line for line in result.stdout.splitlines() if line]


@test
def bash_completes_commands_options_and_names():
    equal(sorted(set(_bash("")) - {"--help", "--version"}), sorted(_commands()), "commands")
    for command, options in _commands().items():
        equal(set(_bash(command, "--")), options, f"options of {command}")
    equal(_bash("en"), ["enable"], "a command begun")
    for command in ("enable", "disable"):
        offered = _bash(command, "")
        script = 'printf "%s\\n" ' + " ".join(offered)
        equal(_run("bash", "-c", script, env=_environment()).stdout.splitlines(), list(NAMES), "names, as the shell takes them")
    equal(_bash("enable", "ho"), ["home", "hotel"], "a name begun")
    equal(_bash("enable", "Work\\ "), ["Work\\ \\&\\ Übung"], "a name with a blank begun")
    equal(_bash("enable", "--session", "ho"), ["home", "hotel"], "behind an option")
    equal(_bash("enable", "home", ""), [], "one name only")
    equal(_bash("check", ""), [], "no argument")


@test
def zsh_accepts_its_file():
    _need("zsh")
    path = os.path.join(DIRECTORY, FILES["zsh"])
    equal(_run("zsh", "-n", path).stderr, "", "syntax")
    # compinit finds it by its first line, and loads it
    script = f'fpath=({DIRECTORY} $fpath); autoload -Uz compinit; compinit -u -D; print -r -- $_comps[nm-killswitch]'
    equal(_run("zsh", "-f", "-c", script, env=_environment()).stdout.strip(), "_nm-killswitch", "what completes nm-killswitch")


@test
def fish_completes_commands_options_and_names():
    _need("fish")

    def fish(line):
        script = f"source {DIRECTORY}/{FILES['fish']}; complete -C '{line}'"
        result = _run("fish", "--no-config", "-c", script, env=_environment())
        equal((result.returncode, result.stderr), (0, ""), "fish")
        return [each.split("\t")[0] for each in result.stdout.splitlines()]

    equal(sorted(fish("nm-killswitch ")), sorted(_commands()), "commands")
    equal(set(fish("nm-killswitch status --")) & {"--json", "--watch", "--quiet"}, {"--json", "--watch", "--quiet"}, "options")
    equal(sorted(each.replace("\\", "") for each in fish("nm-killswitch enable ")), sorted(NAMES), "names")
    equal(fish("nm-killswitch enable home "), [], "one name only")


if __name__ == "__main__":
    main()
