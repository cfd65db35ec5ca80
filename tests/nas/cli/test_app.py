from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.cli import app, errors
from search_spaces.errors import NasError
from tests.nas.cli.conftest import Ended, assert_one_sentence, nas_process

COMMANDS = (
    "search",
    "front",
    "train",
    "estimate",
    "draw",
    "export",
    "validate",
    "targets",
    "spaces",
    "networks",
    "tasks",
    "doctor",
    "demo",
)

Nas = Callable[..., Ended]


def test_version(nas: Nas) -> None:
    ended = nas("--version")
    assert ended.code == 0
    assert ended.out.split()[0] == "nas"


def test_help_names_every_command(nas: Nas) -> None:
    ended = nas("--help")
    assert ended.code == 0
    assert all(f"  {command} " in ended.out for command in COMMANDS)
    assert nas() == ended


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_json_and_quiet(nas: Nas, command: str) -> None:
    ended = nas(command, "--help")
    assert ended.code == 0
    assert "--json" in ended.out
    assert "--quiet" in ended.out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["serch"], ["No such command 'serch'", "search"]),
        (["estimate"], ["Missing argument", "NETWORK"]),
        (["estimate", "cifar-lite"], ["Missing option", "--target"]),
        (["targets", "--jsn"], ["No such option", "--json"]),
        (["search", "--trials", "0"], ["--trials", "greater than or equal to 1"]),
        (["search", "--trials", "many"], ["--trials", "integer"]),
        (["validate", "x.int8", "--compiler", "tcc"], ["--compiler", "tcc", "gcc", "zig"]),
    ],
)
def test_wrong_use_is_one_sentence(nas: Nas, words: list[str], parts: list[str]) -> None:
    ended = nas(*words)
    assert ended.code == errors.BAD_INPUT
    assert ended.out == ""
    assert_one_sentence(ended.err, *parts)


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (NasError("no\n  good"), 2, "error: no good"),
        (
            OSError(28, "No space left on device", "a.bin"),
            2,
            "error: no space left to write a.bin: No space left on dev",
        ),
        (OSError(27, "File too large"), 2, "error: no space left to write the output: File too large"),
        (PermissionError(13, "Permission denied", "a.bin"), 2, "error: a.bin: Permission denied"),
        (FileNotFoundError(2, "No usable temporary directory found"), 2, "error: No usable temporary directory found"),
        (ModuleNotFoundError("No module", name="sklearn"), 2, "error: package 'sklearn' is not installed"),
        (ModuleNotFoundError("No module", name="nas.x"), 70, "error: unexpected ModuleNotFoundError"),
        (errors.Interrupted("go on with x"), 130, "interrupted: go on with x"),
        (KeyboardInterrupt(), 130, "interrupted: stopped before the end"),
        (ZeroDivisionError("division by zero"), 70, "error: unexpected ZeroDivisionError: division by zero; this is a"),
    ],
)
def test_sentence_and_code(error: BaseException, code: int, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert errors.report(error, brief=True) == code
    assert capsys.readouterr().err.startswith(sentence)


def test_the_cause_of_a_wrapped_error_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    wrapped = RuntimeError("writer failed")
    wrapped.__cause__ = OSError(28, "No space left on device")
    assert errors.report(wrapped, brief=True) == 2
    assert "no space left" in capsys.readouterr().err


def test_a_fault_of_ours_keeps_its_traceback_unless_programs_read(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(app, "build", broken)
    assert "Traceback" in nas("targets").err
    ended = nas("targets", "--json")
    assert ended.code == errors.FAULT
    assert_one_sentence(ended.err, "ZeroDivisionError")


def test_a_full_standard_output_is_one_sentence(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        ended = nas_process("spaces", "--json", cwd=tmp_path, stdout=full)
    assert ended.returncode == errors.BAD_INPUT
    assert_one_sentence(ended.stderr, "no space left", "output")


def test_no_room_for_a_file_is_one_sentence_and_leaves_nothing(tmp_path: Path, model_file: Path) -> None:
    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    words = ("export", model_file, "-t", "stm32l4r9", "-o", "out", "--quiet")
    ended = nas_process(*words, cwd=tmp_path, preexec_fn=no_room)
    assert ended.returncode == errors.BAD_INPUT
    assert_one_sentence(ended.stderr, "out", "File too large")
    assert sorted(path.name for path in tmp_path.iterdir()) == [model_file.name]


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = nas_process("networks", cwd=tmp_path, stdout=writing)
    os.close(writing)
    assert ended.stderr == ""
    assert ended.returncode == errors.READER_GONE


def test_closed_streams_are_no_reason_to_fail(tmp_path: Path) -> None:
    def close() -> None:
        os.close(1)
        os.close(2)

    assert nas_process("targets", cwd=tmp_path, stdout=None, stderr=None, preexec_fn=close).returncode == 0
    assert nas_process("target", cwd=tmp_path, stdout=None, stderr=None, preexec_fn=close).returncode == 2


@pytest.mark.parametrize("kind", ["SIGINT", "SIGTERM"])
def test_interrupted_is_one_sentence(tmp_path: Path, kind: str) -> None:
    program = "import os, signal; from nas.cli import app\n"
    program += f"app.build = lambda: lambda **_: os.kill(os.getpid(), signal.{kind})\n"
    program += "raise SystemExit(app.main(['targets']))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path.cwd())
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGINT, "interrupted: stopped before the end\n")


def test_termination_leaves_nothing_half_written(tmp_path: Path, model_file: Path) -> None:
    program = "import os, signal, sys; from firmware import emit; from nas.cli import main\n"
    program += "emit.write_vectors = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
    program += "raise SystemExit(main(sys.argv[1:]))"
    words = ["export", str(model_file), "-t", "stm32l4r9", "-o", str(tmp_path / "out")]
    ended = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, cwd=Path.cwd())
    assert (ended.returncode, ended.stderr) == (errors.INTERRUPTED, "interrupted: stopped before the end\n")
    assert [path.name for path in tmp_path.iterdir()] == [model_file.name]


def test_the_handler_of_sigterm_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with errors.termination_interrupts():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
