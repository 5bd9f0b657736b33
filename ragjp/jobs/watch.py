"""Keeping an index in step with its sources: look, wait until nothing moves any more, build; again and again.

By looking (polling), not by the kernel's notices: those do not tell of what others change on a network share, which is where the
documents are, and they are lost when too many come at once. Looking costs one stat a file, and is done less often where that takes
long. What the files were is noted before each build: a change during it shows at the next look, so that none is ever lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ragjp.config import Recipe, load_recipe
from ragjp.encoders import load_encoder
from ragjp.errors import RagjpError
from ragjp.jobs.build import Options, Progress, build
from ragjp.jobs.outcomes import BuildReport
from ragjp.jobs.planning import state_of
from ragjp.jobs.sources import folder_sources, list_items
from ragjp.types import Encoder

#: Of the time, the share that looking may take.
LOOKING_SHARE = 0.05
#: Looks that may each find something else before it is built all the same: a file that is always written to must not stop the others.
MOST_RESTLESS = 6

#: What the sources look like: equal when nothing has changed.
Look = tuple[object, ...]


def watch(
    path: Path,
    *,
    interval_s: float,
    wait: Callable[[float], bool],
    options: Options,
    progress: Progress,
    told: Callable[[BuildReport], None],
    complain: Callable[[str], None],
    encoder: Encoder | None = None,
) -> None:
    """Build now, and after every change of the recipe's sources or of the recipe, until asked to stop.

    Parameters
    ----------
    path
        The recipe.
    interval_s
        Seconds between two looks. A change is taken in when two looks agree: what is being copied is waited for.
    wait
        Waits so many seconds; true when it is time to stop.
    told
        Given the report of each build.
    complain
        Given one sentence when the sources cannot be looked at or the index cannot be built; once, until that changes. The watch goes on.
    encoder
        Use this encoder instead of loading the recipe's, which is loaded once.
    """
    built: Look | None = None
    before: Look | None = None
    restless = 0
    said = ""
    model, choice = encoder, None
    while True:
        looked_s = 0.0
        try:
            started = time.monotonic()
            recipe = load_recipe(path)
            now = look(recipe, path.parent)
            looked_s = time.monotonic() - started
            restless = 0 if now == before else restless + 1
            # The first build is not waited for; after that, what moves is, but not for ever.
            if now != built and (built is None or not restless or restless > MOST_RESTLESS):
                if encoder is None and (model is None or recipe.encoder != choice):
                    model, choice = load_encoder(recipe.encoder), recipe.encoder
                into = path.parent / recipe.name
                report = build(
                    recipe,
                    base=path.parent,
                    into=into,
                    encoder=model,
                    progress=progress,
                    options=options,
                )
                told(report)
                built, restless, said = now, 0, ""
            before = now
        except RagjpError as error:
            if error.sentence != said:
                complain(error.sentence)
                said = error.sentence
            before = None
        if wait(max(interval_s, looked_s / LOOKING_SHARE)):
            return


def look(recipe: Recipe, base: Path) -> Look:
    """See what the sources are: name and state of every file, and the recipe itself.

    Raises
    ------
    RecipeError
        When a source is missing or empty.
    """
    items = list_items(folder_sources(recipe, base, base / recipe.name))
    return (recipe, *((item.doc_id, item.access, state_of(item)) for item in items))
