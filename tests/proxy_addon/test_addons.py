"""The recorder starts with the addons that it uses; mitmproxy's others come only where somebody asks for them."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
import proxy_addon.master
from proxy_addon import addons

strangers = [name for name in ("flask", "ldap3", "mitmproxy.addons.onboarding") if name in sys.modules]
assert not strangers, strangers

import mitmproxy.addons
import mitmproxy.master

assert len(mitmproxy.addons.default_addons()) > 20
assert mitmproxy.addons.proxyserver is addons.proxyserver
assert mitmproxy.addons.tlsconfig is addons.tlsconfig
assert mitmproxy.master.Master is addons.Master
"""


def test_relay_imports_no_addon_that_it_has_no_use_for_and_the_package_stays_whole() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


def test_package_that_is_there_already_is_taken_as_it_is() -> None:
    script = "import mitmproxy.addons as whole; from proxy_addon import addons; assert addons.core is whole.core"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
