"""Run as a script: flip one bit in any file of a closed index. Check must report it, and no answer may change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from damage import answers, judged, make_sound
from isolated import Report, arguments, generator, isolated, run_shards


def run(case: int, sound: list[tuple[Path, dict[str, Any]]], work: Path, report: Report) -> None:
    rng = generator(case)
    source, truth = rng.choice(sound)
    path = work / "index"
    shutil.copytree(source, path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.stat().st_size)
    # By file as often as by byte: else the many small ones would hardly be met.
    weights = [file.stat().st_size for file in files] if rng.random() < 0.5 else None
    (file,) = rng.choices(files, weights)
    content = bytearray(file.read_bytes())
    place, bit = rng.randrange(len(content)), rng.randrange(8)
    content[place] ^= 1 << bit
    file.write_bytes(content)
    what = f"flip {case}, {source.name}/{file.relative_to(path)} byte {place} bit {bit}"
    verdict = judged(path, truth, rng.choice(("", "merge", "commit")), what, case, report)
    if verdict is not None and not verdict["detected"]:
        report.complain(f"{what}: check does not see it", case)
    shutil.rmtree(path)


def main() -> None:
    given = arguments()
    sound = []
    for path in make_sound(given.work):
        truth = isolated(lambda path=path: answers(path))["value"]  # type: ignore[misc]
        assert len(truth) > 60
        sound.append((path, truth))
    cases = [int(given.only)] if given.only else list(range(given.cases))
    run_shards(cases, lambda case, folder, report: run(case, sound, folder, report), given.work)


if __name__ == "__main__":
    main()
