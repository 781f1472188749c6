"""Results, a line of JSON each; what is there is not measured again."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from measures import Measured, measure_of
from pairs import Pair


@dataclass(frozen=True)
class Result:
    """What one statistic says of one pair; `seconds` of processor time. For the rest see `Pair` and `Measured`."""

    measure: str
    group: str
    family: str
    kind: str
    one: int
    other: int
    member: str
    disguise: str
    score: float | None
    verdict: str | None
    layer: str | None
    rate: float | None
    seconds: float

    @property
    def key(self) -> str:
        """Of the statistic and the pair."""
        pair = (self.group, self.kind, str(self.one), str(self.other), self.member, self.disguise)
        return "/".join((self.measure, *pair))


def read_results(path: Path) -> dict[str, Result]:
    """By key; a line that was cut off is dropped."""
    found: dict[str, Result] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            result = Result(**json.loads(line))
        except (json.JSONDecodeError, TypeError):
            continue
        found[result.key] = result
    return found


def measure_all(path: Path, pairs: Iterable[Pair], measures: Iterable[str]) -> Iterator[Result]:
    """Measure the pairs whose files are there and whose results are not."""
    done = read_results(path)
    names = list(measures)
    with path.open("a") as file:
        for pair in pairs:
            if not (pair.a.exists() and pair.b.exists()):
                continue
            for name in names:
                if f"{name}/{pair.key}" in done:
                    continue
                start = time.process_time()
                result = _result(name, pair, measure_of(name).measure(pair.a, pair.b), time.process_time() - start)
                file.write(json.dumps(asdict(result)) + "\n")
                file.flush()
                yield result


def _result(name: str, pair: Pair, found: Measured, seconds: float) -> Result:
    score = found.score if found.score is not None and math.isfinite(found.score) else None
    return Result(
        name,
        pair.group,
        pair.family,
        pair.kind,
        pair.one,
        pair.other,
        pair.member,
        pair.disguise,
        score,
        found.verdict,
        found.layer,
        found.rate,
        round(seconds, 3),
    )
