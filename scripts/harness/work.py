"""A job whose every start and every byte can be checked afterwards: the programs write down that they were started."""

from collections import Counter
from pathlib import Path

#: prints 200 numbered lines over `seconds`, uses some CPU, ends with `code`; writes its start into the ledger
WORK = r"""
params: [seconds, code, ledger]
program:
  type: program
  argv:
    - python3
    - -c
    - |
      import os, sys, time
      seconds, code, ledger = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
      with open(ledger, "ab", buffering=0) as file:
          file.write(f"{os.environ['APSIS_RUN_ID']}\n".encode())
      for number in range(200):
          print(f"{os.environ['APSIS_RUN_ID']} line {number:03d} " + "x" * 40, flush=True)
          time.sleep(seconds / 200)
      sys.exit(code)
    - "{{ seconds }}"
    - "{{ code }}"
    - "{{ ledger }}"
"""


def printed(run_id: str) -> bytes:
    """Return what the job `work` prints in a run."""
    return b"".join(f"{run_id} line {number:03d} ".encode() + b"x" * 40 + b"\n" for number in range(200))


class Ledger:
    """The starts, as the programs themselves wrote them down."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def starts(self) -> Counter[str]:
        """Return run id: how often its program was started."""
        return Counter(self.path.read_text().split()) if self.path.exists() else Counter()
