"""A condition's file, read into one frozen value.

::

    dataset = "evals/data/gate"        # from the project's folder; "$RAGJP_DATA/jaquad": a benchmark, which is not part of it
    split = "test"
    recipe = "indexes/demo.toml"       # optional: what the overrides start from, and the index of a dataset without a corpus
    baseline = "evals/baselines/gate.json"   # optional: scores of every question, for the gate
    tolerance = 0.01                   # how far below its expectation a mean may be
    never_worse = true                 # whether the never-worse table must hold
    answers = true                     # whether the results hold answers and citations too

    [overrides.encoder]                # of the recipe
    model = "hashing"

    [rankings.reranked]                # which ranking is measured, and what is expected of it
    "nDCG@10" = 0.8889

    [beats]                            # significantly, in nDCG@10; another condition's ranking is "NAME:RANKING"
    reranked = ["bm25", "dense", "fused"]
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from evals.indexes import Condition as RankingName
from evals.provenance import ROOT
from ragjp.config import Recipe, load_recipe, parse_recipe
from ragjp.errors import RecipeError, RequestError

FOLDER: Final = Path(__file__).parent
BENCHMARKS: Final = "$RAGJP_DATA/"

Measure = Literal["nDCG@10", "R@1", "R@5", "R@10", "R@100", "MRR@10"]
Score = Annotated[float, Field(ge=0, le=1)]

#: What pydantic calls a mistake → what we call it.
_MISTAKES: Final = {
    "extra_forbidden": "知らない項目です",
    "missing": "書かれていません",
    "literal_error": "使えない名前です",
    "string_type": "文字列ではありません",
    "float_type": "数ではありません",
    "float_parsing": "数ではありません",
    "bool_parsing": "true か false ではありません",
    "greater_than_equal": "0 以上ではありません",
    "less_than_equal": "1 以下ではありません",
    "less_than": "1 未満ではありません",
    "greater_than": "0 より大きくありません",
    "too_short": "空です",
}


class ConditionError(RequestError):
    """A condition's file that is missing, is not TOML, or says something impossible."""

    default_code: ClassVar[str] = "bad_condition"


class Rival(BaseModel):
    """A ranking that must be beaten: of the same condition, or of another one on the same questions."""

    model_config = ConfigDict(frozen=True)

    ranking: RankingName
    condition: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        condition, _, ranking = value.rpartition(":")
        return {"ranking": ranking, "condition": condition or None}


class ConditionFile(BaseModel):
    """One condition as it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    split: str
    recipe: str | None = None
    baseline: str | None = None
    tolerance: float = Field(gt=0, lt=1)
    never_worse: bool = False
    answers: bool = False
    overrides: Mapping[str, object] = {}
    rankings: Mapping[RankingName, Mapping[Measure, Score]] = Field(min_length=1)
    beats: Mapping[RankingName, tuple[Rival, ...]] = {}

    @model_validator(mode="after")
    def _beats_are_measured(self) -> Self:
        for better, rivals in self.beats.items():
            own = {better, *(rival.ranking for rival in rivals if rival.condition is None)}
            if missing := sorted(own - set(self.rankings)):
                raise ValueError(f"[beats] の {missing[0]} が [rankings] にありません")
        return self

    @property
    def is_benchmark(self) -> bool:
        """Whether its data are no part of the project."""
        return self.dataset.startswith(BENCHMARKS)


class NamedCondition(BaseModel):
    """A condition with its name, its file, and its recipe with the overrides in it."""

    model_config = ConfigDict(frozen=True)

    name: str
    path: Path
    file: ConditionFile
    recipe: Recipe
    #: Where the recipe's sources are.
    base: Path

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the conditions that it is compared with."""
        rivals = (rival for row in self.file.beats.values() for rival in row)
        return tuple(dict.fromkeys(r.condition for r in rivals if r.condition is not None))

    @property
    def baseline(self) -> Path | None:
        """The baseline's file."""
        return ROOT / self.file.baseline if self.file.baseline else None

    def dataset(self, data: Path | None) -> Path:
        """The folder of the dataset; ``data`` is the folder of the benchmarks.

        Raises
        ------
        ConditionError
            When it is a benchmark and no folder is given.
        """
        if not self.file.is_benchmark:
            return ROOT / self.file.dataset
        if data is None:
            raise ConditionError(
                f"条件「{self.name}」には評価用データが要ります。置き場所を --data で指定してください。",
                code="data_unnamed",
            )
        return data / self.file.dataset.removeprefix(BENCHMARKS)


def load_conditions(folder: Path = FOLDER) -> dict[str, NamedCondition]:
    """Read every condition of a folder, by name.

    Raises
    ------
    ConditionError
        Naming the file, the key and what is wrong with it; also where a rival's condition is not there.
    """
    found = {path.stem: load_condition(path) for path in sorted(folder.glob("*.toml"))}
    for condition in found.values():
        for name in condition.needs:
            if name not in found:
                raise ConditionError(
                    f"条件 {condition.path} の [beats] にある条件「{name}」がありません。{folder} のファイル名と見比べてください。"
                )
            other = found[name].file
            if (other.dataset, other.split) != (condition.file.dataset, condition.file.split):
                raise ConditionError(
                    f"条件 {condition.path} の [beats] にある条件「{name}」は、別の質問で測ります。同じ dataset と split の条件を書いてください。"
                )
    return found


def load_condition(path: Path) -> NamedCondition:
    """Read one condition.

    Raises
    ------
    ConditionError
        Naming the file, the key and what is wrong with it.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        file = ConditionFile.model_validate(values)
        recipe, base = _recipe(file, path.stem)
    except OSError as error:
        raise ConditionError(
            f"条件 {path} を開けません（{error.strerror}）。ファイル名を確かめてください。",
            code="condition_missing",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConditionError(
            f"条件 {path} は TOML として読めません（{error}）。その行を直してください。"
        ) from error
    except ValidationError as error:
        raise ConditionError(f"条件 {path} の{_mistake(error)}。直してください。") from error
    except RecipeError as error:
        raise ConditionError(f"条件 {path} の overrides か recipe: {error.sentence}") from error
    return NamedCondition(name=path.stem, path=path, file=file, recipe=recipe, base=base)


def _mistake(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "value_error":
        return f"内容が正しくありません（{first['ctx']['error']}）"
    return f"「{key}」が正しくありません（{_MISTAKES.get(first['type'], str(first['msg']))}）"


def _recipe(file: ConditionFile, name: str) -> tuple[Recipe, Path]:
    """The recipe with its overrides, and the folder that its sources are relative to."""
    values: dict[str, object] = {"name": Path(file.dataset).name}
    base = ROOT
    if file.recipe:
        values = load_recipe(ROOT / file.recipe).model_dump(mode="json")
        base = (ROOT / file.recipe).parent
    return parse_recipe(_merged(values, file.overrides), where=f"（条件 {name}）"), base


def _merged(values: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """Lay tables over tables, key by key."""
    merged = dict(values)
    for key, change in changes.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(change, Mapping)
        merged[key] = _merged(old, change) if both else change  # type: ignore[arg-type]
    return merged
