"""A pytest plugin for zarr-python's tests: expected failures, and the share of calls that run in Rust.

A test listed in expected.toml becomes a strict xfail, so that it fails the run when it passes.
The share counts the reads and writes of this process and of the pytest-xdist workers, not those of
the subprocesses that a few tests start.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.specifiers import SpecifierSet

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPECTED = tomllib.loads(Path(__file__).with_name("expected.toml").read_text())
SMALLEST_SHARE = 0.95
EXAMPLES = 3  # tests listed for each reason


@dataclass
class Calls:
    """Reads and writes by where they ran; for each fallback reason, some tests that met it."""

    rust: int = 0
    fallback: Counter[str] = field(default_factory=Counter)
    tests: dict[str, list[str]] = field(default_factory=dict)

    def add(self, other: Calls) -> None:
        self.rust += other.rust
        self.fallback += other.fallback
        for reason, tests in other.tests.items():
            known = self.tests.setdefault(reason, [])
            known += tests[: EXAMPLES - len(known)]

    def to_json(self) -> str:
        return json.dumps([self.rust, self.fallback, self.tests])

    @classmethod
    def from_json(cls, text: str) -> Calls:
        rust, fallback, tests = json.loads(text)
        return cls(rust, Counter(fallback), tests)


# The calls of this process; the controller of pytest-xdist adds those of its workers.
CALLS = Calls()


def matches(pattern: str, text: str) -> bool:
    """Return whether the text matches the pattern, in which "*" stands for anything.

    Not fnmatch, which reads the brackets of a parametrised test's id as a character set.
    """
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    listed = [
        entry
        for entry in EXPECTED.get("failure", [])
        if SpecifierSet(entry.get("zarr", "")).contains(version("zarr"), prereleases=True)
    ]
    for item in items:
        for entry in listed:
            if matches(entry["test"], item.nodeid):
                item.add_marker(pytest.mark.xfail(reason=entry["reason"], strict=True))


def counters() -> tuple[int, Counter[str]]:
    """Return the pipeline's own counters: calls that ran in Rust, and fallbacks by reason."""
    from zarrs._pipeline import counters

    return counters["rust"], Counter(counters["fallback"])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    rust_before, fallback_before = counters()
    result = yield
    rust, fallback = counters()
    fallback -= fallback_before
    CALLS.add(Calls(rust - rust_before, fallback, {reason: [item.nodeid] for reason in fallback}))
    return result


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["zarrs"] = CALLS.to_json()
    elif not session.config.option.collectonly:
        too_small = share() < SMALLEST_SHARE and session.exitstatus == pytest.ExitCode.OK
        if too_small:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # A crashed worker sends no counters; pytest-xdist reports the crash itself.
    CALLS.add(Calls.from_json(getattr(node, "workeroutput", {}).get("zarrs", Calls().to_json())))


def outside(reason: str) -> str | None:
    """Return why fallbacks for this reason do not count, or None if they do."""
    for entry in EXPECTED.get("outside", []):
        if matches(entry["reason"], reason):
            return str(entry["why"])
    return None


def share() -> float:
    """Return the fraction of the calls in scope that ran in Rust; 0 if there were none."""
    in_scope = CALLS.rust + sum(
        n for reason, n in CALLS.fallback.items() if outside(reason) is None
    )
    return CALLS.rust / in_scope if in_scope else 0.0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    write = terminalreporter.write_line
    terminalreporter.section("calls that ran in Rust")
    for reason, count in CALLS.fallback.most_common():
        write(f"{count:7} fell back: {reason}")
        write(f"{'':8}{'outside: ' + why if (why := outside(reason)) else 'in scope'}")
        for test in CALLS.tests[reason]:
            write(f"{'':8}{test}")
    total = CALLS.rust + CALLS.fallback.total()
    write(f"{CALLS.rust:7} of {total} calls ran in Rust")
    write(f"{share():7.1%} of those in scope (at least {SMALLEST_SHARE:.0%} are required)")
