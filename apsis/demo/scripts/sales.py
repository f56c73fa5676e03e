"""The three steps of the sales chain: `load DATE REGION`, `transform DATE REGION`, `report DATE`."""

import csv
import os
import sys
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from pathlib import Path

REGIONS = ("eu", "us", "asia")
HOME = Path(os.environ["APSIS_HOME"])


def folder(day: str) -> Path:
    """Return the folder of a day's files, which is made where it is not there."""
    path = HOME / "demo-data" / "sales" / day
    path.mkdir(parents=True, exist_ok=True)
    return path


def load(day: str, region: str) -> None:
    """Take the rows of a region for the weekday of a date."""
    weekday = f"{date.fromisoformat(day):%a}"
    with (HOME / "data" / "sales.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["weekday"], row["region"]) == (weekday, region)]
    save(folder(day) / f"{region}-loaded.csv", ["product", "units", "price"], rows)
    print(f"loaded {len(rows)} rows of {region} for {day}, a {weekday}")


def transform(day: str, region: str) -> None:
    """Add up what was loaded, by product."""
    units: defaultdict[str, int] = defaultdict(int)
    value: defaultdict[str, float] = defaultdict(float)
    for row in rows_of(folder(day) / f"{region}-loaded.csv"):
        units[row["product"]] += int(row["units"])
        value[row["product"]] += int(row["units"]) * float(row["price"])
    totals = [{"product": name, "units": units[name], "value": f"{value[name]:.2f}"} for name in sorted(units)]
    save(folder(day) / f"{region}-totals.csv", ["product", "units", "value"], totals)
    print(f"{region} {day}: {len(totals)} products, {sum(value.values()):.2f} in all")


def report(day: str) -> None:
    """Print a table of all regions, and keep it."""
    values: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for region in REGIONS:
        for row in rows_of(folder(day) / f"{region}-totals.csv"):
            values[row["product"]][region] = float(row["value"])
    lines = [f"Sales of {day}", "", f"{'product':10}" + "".join(f"{region:>12}" for region in REGIONS)]
    lines += [
        f"{product:10}" + "".join(f"{by_region.get(region, 0):12.2f}" for region in REGIONS)
        for product, by_region in sorted(values.items())
    ]
    sums = [sum(by_region.get(region, 0) for by_region in values.values()) for region in REGIONS]
    lines.append(f"{'total':10}" + "".join(f"{total:12.2f}" for total in sums))
    text = "\n".join(lines) + "\n"
    replace(folder(day) / "report.txt", text)
    print(text, end="")


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file of the step before."""
    if not path.exists():
        sys.exit(f"{path} is not there; the step before has not run for these args")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def save(path: Path, columns: list[str], rows: Iterable[dict[str, object]] | Iterable[dict[str, str]]) -> None:
    """Write a CSV file, whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)


def replace(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.replace(path)


def main(args: list[str]) -> None:
    """Do the step that is asked for."""
    match args:
        case ["load", day, region]:
            load(day, region)
        case ["transform", day, region]:
            transform(day, region)
        case ["report", day]:
            report(day)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
