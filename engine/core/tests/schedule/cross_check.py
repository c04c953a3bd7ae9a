#!/usr/bin/env python3
"""Asks croniter and cronsim about vectors.txt, and holds their answers against ours and against the marks there.

Needs no build:  pip install croniter cronsim tzdata  and then  python3 cross_check.py
Exits 1 where an answer differs without a mark, or agrees in spite of one. Checked with croniter 7.0, cronsim 2.8.
"""
import datetime
import pathlib
import sys
import zoneinfo

from croniter import croniter
from cronsim import CronSim

UTC = datetime.timezone.utc


def told(instant):
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def by_croniter(rule, after, count):
    rules = croniter(rule, after, max_years_between_matches=60)
    return [told(rules.get_next(datetime.datetime)) for _ in range(count)]


def by_cronsim(rule, after, count):
    rules = CronSim(rule, after)
    return [told(next(rules)) for _ in range(count)]


def main():
    wrong = count = 0
    path = pathlib.Path(__file__).with_name("vectors.txt")
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        rule, zone, after, dst, slots, *marks = line.split(" | ")
        # The others know one way to treat a change of the clocks.
        if dst != "cron":
            continue
        marks = dict(mark.split("=") for mark in " ".join(marks).split())
        slots = [] if slots == "never" else slots.split()
        instant = datetime.datetime.fromisoformat(after.replace("Z", "+00:00")).astimezone(zoneinfo.ZoneInfo(zone))
        for name, ask in ("croniter", by_croniter), ("cronsim", by_cronsim):
            try:
                answer = ask(rule, instant, len(slots) or 1)
            except Exception as error:
                answer = f"{type(error).__name__}: {error}"
            count += 1
            if (answer == slots) == (name in marks):
                wrong += 1
                print(f"{name}: {line}\n    answers {answer}")
    print(f"{count} answers, {wrong} of them not as marked")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
