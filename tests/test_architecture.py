"""The import rules of the layout: hot modules import warm ones, warm ones cold ones, and never back."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("nestperf", "proxy_addon", "replay", "reports")

PURE = (
    "nestperf/wire",
    "nestperf/capture/model.py",
    "nestperf/capture/kinds.py",
    "nestperf/capture/routes.py",
    "nestperf/capture/sessions.py",
    "nestperf/capture/owners.py",
    "nestperf/capture/marks.py",
    "nestperf/capture/slimming.py",
    "nestperf/capture/queries.py",
    "nestperf/capture/redaction.py",
    "nestperf/capture/statements.py",
    "nestperf/capture/wordings.py",
    "nestperf/capture/server_timing.py",
    "nestperf/capture/foreign.py",
    "nestperf/capture/har/bodies.py",
    "nestperf/capture/har/building.py",
    "nestperf/capture/har/entries.py",
    "nestperf/capture/har/polling.py",
    "nestperf/capture/har/fields.py",
    "nestperf/capture/har/streaming.py",
    "nestperf/capture/postgres_log/durations.py",
    "nestperf/capture/postgres_log/prefix.py",
    "nestperf/capture/postgres_log/zones.py",
    "proxy_addon/retelling.py",
    "proxy_addon/logged.py",
    "proxy_addon/databases.py",
    "nestperf/capture/forms.py",
    "nestperf/capture/known.py",
    "nestperf/capture/relations.py",
    "nestperf/capture/secret_names.py",
    "nestperf/capture/words.py",
    "nestperf/pages/alignment.py",
    "nestperf/pages/rows.py",
    "nestperf/pages/snapshots.py",
    "nestperf/pages/tracks.py",
    "proxy_addon/cuts.py",
    "proxy_addon/conversations.py",
    "proxy_addon/exchanges.py",
    "proxy_addon/sink.py",
    "proxy_addon/handshakes.py",
    "proxy_addon/environment.py",
    "proxy_addon/keys.py",
    "proxy_addon/mentions.py",
    "proxy_addon/recorder.py",
    "proxy_addon/sockets.py",
    "proxy_addon/tally.py",
    "proxy_addon/tap.py",
    "proxy_addon/watched.py",
    "replay/checks/contract.py",
    "replay/checks/choose.py",
    "replay/checks/cut.py",
    "replay/checks/admissions.py",
    "replay/checks/announced.py",
    "replay/checks/burst.py",
    "replay/checks/queries.py",
    "replay/checks/connections.py",
    "replay/checks/limit.py",
    "replay/checks/liveness.py",
    "replay/checks/load.py",
    "replay/checks/init.py",
    "replay/checks/table.py",
    "replay/checks/text.py",
    "replay/checks/together.py",
    "replay/database/address.py",
    "replay/database/reads.py",
    "replay/database/tally.py",
    "replay/checks/deliveries.py",
    "replay/checks/findings.py",
    "replay/checks/fanout.py",
    "replay/checks/messages.py",
    "replay/checks/reconnect.py",
    "replay/checks/replies.py",
    "replay/checks/returns.py",
    "replay/checks/sequels.py",
    "replay/plan.py",
    "replay/moments.py",
    "replay/originals.py",
    "replay/packets.py",
    "replay/steps.py",
    "replay/pacing.py",
    "replay/asked.py",
    "replay/profile.py",
    "replay/structure.py",
    "replay/openings.py",
    "replay/frames.py",
    "replay/plan_text.py",
    "replay/walk.py",
    "replay/watch.py",
    "replay/health.py",
    "replay/distribution.py",
    "replay/certificate.py",
    "replay/summary.py",
    "replay/correlate.py",
    "replay/people.py",
    "nestperf/network",
    "replay/browse/tour.py",
    "replay/shape.py",
    "replay/provenance",
    "reports/statistics.py",
    "reports/dependence.py",
    "reports/compare/model.py",
    "reports/compare/evidence.py",
    "reports/compare/noise.py",
    "reports/compare/failures.py",
    "reports/compare/decide.py",
    "reports/compare/ratios.py",
    "reports/expressions.py",
    "reports/grammar.py",
    "reports/estimates.py",
    "reports/breakdown.py",
    "reports/repeats.py",
    "reports/causes",
    "reports/rules.py",
    "reports/pages.py",
    "reports/page_waterfalls.py",
    "reports/thinning.py",
    "reports/timeline.py",
    "reports/concurrency.py",
    "reports/curves.py",
    "reports/traffic.py",
    "reports/visits.py",
    "reports/relative.py",
    "reports/spread.py",
    "reports/route_rows.py",
    "reports/socket_rows.py",
    "reports/metrics.py",
    "nestperf/console.py",
    "nestperf/printable.py",
    "nestperf/toml_tables.py",
    "nestperf/percentiles.py",
    "nestperf/durations.py",
    "nestperf/verdicts.py",
)
"""Cold modules: no clock, file, socket, process or environment."""
IMPURE_MODULES = frozenset(
    {"time", "os", "socket", "asyncio", "subprocess", "pathlib", "sqlite3", "threading", "select"}
)

MAY_IMPORT = {
    "nestperf": {"nestperf"},
    "proxy_addon": {"nestperf", "proxy_addon"},
    "replay": {"nestperf", "replay"},
    "reports": {"nestperf", "reports"},
}
ALLOWED_BESIDE = {
    "replay/browse/cli.py": {"reports", "proxy_addon"},
    "replay/browse/summary.py": {"reports"},
    "replay/browse/relayed.py": {"proxy_addon"},
    "proxy_addon/suite_verdict.py": {"reports"},
    "replay/cli.py": {"reports"},
    "replay/runs.py": {"reports"},
    "replay/options.py": {"reports"},
    "nestperf/pytest_plugin.py": {"reports"},
    "replay/check_cli.py": {"reports"},
    "replay/checks/table.py": {"reports"},
    "replay/checks/text.py": {"reports"},
    "replay/checks/load.py": {"reports"},
    "replay/database/command.py": {"reports"},
}
"""`replay` and `record -- COMMAND` end with the thresholds' table, and `--abort-on` is written in their language;
`check` prints tables as reports do, reads its suites as they read thresholds, and judges a load by such."""

MITMPROXY_ONLY_IN = frozenset({"proxy_addon/addon.py", "proxy_addon/addons.py", "proxy_addon/master.py",
                               "proxy_addon/flow_files.py", "proxy_addon/tls.py", "proxy_addon/authority.py",
                               "proxy_addon/mitmdump.py"})  # fmt: skip
SQL_ONLY_IN = frozenset({"nestperf/capture/schema.py", "nestperf/capture/writer.py", "nestperf/capture/reader.py",
                         "nestperf/capture/files.py", "nestperf/capture/sweep.py", "nestperf/capture/rewriting.py",
                         "nestperf/capture/repeats.py"})  # fmt: skip
ASYNC_SOCKETS_ONLY_IN = ("replay/transport", "proxy_addon/shortcut.py")
ASYNC_SOCKETS = frozenset({"Protocol", "BufferedProtocol", "create_connection", "create_server", "open_connection",
                           "start_server", "sock_connect"})  # fmt: skip
"""What asyncio's connections and servers are made with."""


def modules(*folders: str) -> list[str]:
    """The Python files of folders (or files), as paths from the root."""
    found: list[Path] = []
    for folder in folders:
        path = ROOT / folder
        found += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return [str(file.relative_to(ROOT)) for file in found]


def imports(module: str) -> Iterator[str]:
    """Every module that `module` imports anywhere, type-checking imports included."""
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("module", modules(*PACKAGES))
def test_packages_import_only_what_the_layout_allows(module: str) -> None:
    package = module.split("/")[0]
    allowed = MAY_IMPORT[package] | ALLOWED_BESIDE.get(module, set())
    for name in imports(module):
        top = name.split(".")[0]
        if top in PACKAGES:
            assert top in allowed, f"{module} imports {name}"
        if top == "mitmproxy":
            assert module in MITMPROXY_ONLY_IN, f"{module} imports {name}"
        if top in ("sqlite3", "sqlite_utils"):
            assert module in SQL_ONLY_IN | {"proxy_addon/recording.py"} or module.startswith("nestperf/demo/"), module


@pytest.mark.parametrize("module", modules(*PACKAGES))
def test_connections_of_asyncio_are_made_in_the_transport_alone(module: str) -> None:
    tree = ast.parse((ROOT / module).read_text())
    made = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & ASYNC_SOCKETS
    assert not made or module.startswith(ASYNC_SOCKETS_ONLY_IN), f"{module} uses {sorted(made)}"


@pytest.mark.parametrize("module", modules(*PURE))
def test_cold_modules_reach_no_clock_file_or_socket(module: str) -> None:
    reached = {name.split(".")[0] for name in imports(module)} & IMPURE_MODULES
    assert not reached, f"{module} imports {sorted(reached)}"


def test_wire_imports_nothing_of_ours_but_the_model() -> None:
    for module in modules("nestperf/wire"):
        ours = {
            name for name in imports(module) if name.startswith("nestperf") and not name.startswith("nestperf.wire")
        }
        assert ours <= {"nestperf.capture.model"}, f"{module} imports {sorted(ours)}"


def test_the_demo_uses_the_rest_only_through_its_commands() -> None:
    for module in modules("nestperf/demo"):
        ours = {name for name in imports(module) if name.startswith(("nestperf.capture", "nestperf.wire"))}
        assert ours <= {"nestperf.capture.routes"}, f"{module} imports {sorted(ours)}"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    heavy = ("mitmproxy", "numpy", "scipy", "plotly", "aiohttp", "socketio", "sqlite_utils", "rich")
    script = (
        "import sys\n"
        "from nestperf.cli import run\n"
        f"assert run({arguments!r}) == 0\n"
        f"heavy = [name for name in {heavy!r} if name in sys.modules]\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
