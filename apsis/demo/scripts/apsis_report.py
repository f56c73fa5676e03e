"""Report on Apsis from its own REST API; needs nothing but Python, the token of the home, and the page's address."""

import collections
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

HOME = Path(os.environ["APSIS_HOME"])
#: the services may be starting, or starting again
PATIENCE = 10.0


def address() -> str:
    """Return where the web service listens: it says so in its lock file once it is ready."""
    lock = HOME / "run" / "web.lock"
    facts = json.loads(lock.read_text() or "{}") if lock.exists() else {}
    found = facts.get("address")
    if not found:
        raise ConnectionError(f"the web service is not ready ({lock} has no address)")
    return str(found)


def ask(path: str) -> Any:
    """Return the answer to a GET request."""
    token = (HOME / "token").read_text().strip()
    url = f"{address()}/api/v1{path}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310  our own address
    # no proxy: the service is on this machine
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=5) as answer:
        return json.load(answer)


def patiently(path: str) -> Any:
    """Return the answer to a GET request, asked again for a while if the service is away."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask(path)
        except urllib.error.HTTPError as error:
            if error.code < 500 or time.monotonic() > deadline:
                raise
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def main() -> int:
    """Print the health, and how the latest runs ended."""
    try:
        version, health, runs = patiently("/version"), patiently("/health"), patiently("/runs")
    except (OSError, ValueError) as error:
        print(f"cannot ask Apsis: {error}", file=sys.stderr)
        return 1
    print(f"Apsis {version['version']} at {address()}, health {health['status']}")
    for check in health["checks"]:
        if check["status"] != "ok":
            print(f"  {check['status']}: {check['message']}")
    listed = runs["runs"]
    states = collections.Counter(run["state"] for run in listed)
    print(f"\n{runs['total']} runs; of the {len(listed)} listed:")
    for state, count in states.most_common():
        print(f"  {state:10} {count:4}  {'#' * min(count, 60)}")
    bad = [run for run in listed if run["state"] in ("failure", "error")]
    if bad:
        print("\nthe latest that did not go well:")
    for run in bad[-5:]:
        print(f"  {run['run_id']:>6} {run['job_id']}: {run.get('reason', '')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
