"""Recipes: what an index is made of and how it is searched, as one typed value per stage, read from TOML.

The only place that reads ``RAGJP_*`` from the environment. A recipe is stored with the index it produced.
"""

from __future__ import annotations

import errno
import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ragjp.errors import RecipeError

DEFAULT_ENCODER = "multilingual-e5-small"
#: Size of a file of synonyms or of words.
MOST_WORDS_BYTES = 1 << 20


class _Stage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Stage):
    """A folder of documents and who may read them."""

    #: Folder, relative to the recipe file.
    path: str
    include: tuple[str, ...] = ("**/*",)
    exclude: tuple[str, ...] = ()
    #: Principals that may read every document of this source. Empty: nobody may (default is deny).
    access: tuple[str, ...] = ()


class Limits(_Stage):
    """What one document may cost before it is given up (with a reason code)."""

    seconds: float = Field(30.0, gt=0)
    memory_mib: int = Field(2048, ge=256)
    max_bytes: int = Field(200 * 1024 * 1024, gt=0)
    max_chars: int = Field(20_000_000, gt=0)


class Chunking(_Stage):
    """Sizes of chunks, in characters of the source text."""

    target_chars: int = Field(350, ge=50)
    max_chars: int = Field(600, ge=80)
    #: Whole sentences repeated from the end of the previous chunk.
    overlap_sentences: int = Field(0, ge=0, le=5)


class EncoderChoice(_Stage):
    """Which model turns text into vectors, and where it runs."""

    #: A preset's name, a hub name already in the local cache, a folder, or ``hashing`` (tests).
    model: str = DEFAULT_ENCODER
    device: Literal["auto", "cpu", "cuda"] = "auto"
    #: ``onnx`` needs no torch; ``auto`` takes it on a CPU for the bundled model and sentence-transformers otherwise.
    engine: Literal["auto", "onnx", "torch"] = "auto"
    precision: Literal["auto", "fp32", "fp16", "int8"] = "auto"
    batch_size: int = Field(32, ge=1)
    #: Store token embeddings for late interaction.
    tokens: bool = True


class Retrieval(_Stage):
    """Candidate generation and score fusion. The weights are fitted (``docs/LOG.md`` says on what) and recorded here."""

    n_candidates: int = Field(100, ge=1, le=2048)
    k1: float = Field(0.5, gt=0)
    b: float = Field(0.4, ge=0, le=1)
    lemma_weight: float = Field(0.8, ge=0)
    bigram_weight: float = Field(0.2, ge=0)
    #: Words of the title and headings once more, beside their place in the two other fields.
    title_weight: float = Field(0.0, ge=0)
    #: ``auto``: exact up to 2 million rows a segment. ``approximate``: through lists from 40,000 rows on. What lists a segment has is
    #: decided as it is indexed; ``exact`` here leaves them unused.
    dense: Literal["auto", "exact", "approximate"] = "auto"
    #: Share of the dense ranking in the fusion of normalised scores; BM25 has the rest.
    dense_weight: float = Field(0.3, ge=0, le=1)


class Reranking(_Stage):
    """Late interaction over the best fused candidates, and optional diversity."""

    maxsim: bool = True
    depth: int = Field(50, ge=1)
    #: Share of MaxSim in the final score; BM25 and the dense ranking, normalised and summed, have the rest.
    maxsim_weight: float = Field(0.5, ge=0, le=1)
    #: Share of its page's MaxSim (over the candidates on the page) in the MaxSim of a chunk. Off: with untrained tokens it gains
    #: too little to be told from chance (``docs/LOG.md``); to be measured again with trained ones.
    page_share: float = Field(0.0, ge=0, le=1)
    #: Share of the dense ranking in that rest. Less than in the fusion: MaxSim knows most of what the dense vector knows.
    dense_weight: float = Field(0.1, ge=0, le=1)
    #: 1.0 switches MMR off; lower values trade relevance for diversity.
    mmr_lambda: float = Field(1.0, ge=0, le=1)


class Answering(_Stage):
    """The LLM server (any OpenAI-compatible endpoint on this network). None: extractive answers."""

    endpoint: str | None = None
    model: str = "local"
    #: ``chat`` for instruction-tuned models; ``completion`` (few-shot, ``/v1/completions``) for base models.
    style: Literal["chat", "completion"] = "chat"
    #: Name of the environment variable that holds the key, if the server wants one.
    api_key_env: str | None = None
    #: Networks (CIDR) outside the private ranges that are nevertheless this company's own: the endpoint may be there.
    own_networks: tuple[str, ...] = ()
    max_passages: int = Field(5, ge=1, le=50)
    prompt_tokens: int = Field(3000, ge=200)
    max_tokens: int = Field(512, ge=16)
    #: Share of the questions with an answer that shall be answered: the threshold of ``no_answer`` follows from it. 1 never refuses by it.
    keep_answerable: float = Field(0.95, gt=0, le=1)
    timeout_s: float = Field(60.0, gt=0)
    temperature: float = Field(0.0, ge=0)


DeviceName = Literal["auto", "cpu", "cuda"]


class DeviceUse(_Stage):
    """What searching may take of a GPU. Changes how fast an answer comes, never which; without a GPU nothing of it counts."""

    #: ``auto``: the GPU where there is one; ``cpu``: the reference. ``RAGJP_DEVICE`` overrides it.
    use: DeviceName = "auto"
    #: Share of the memory that is free on the card when it is first taken; the rest is left to others, such as an LLM server.
    memory_share: float = Field(0.8, gt=0, le=1)
    #: Share of that, less the scratch memory, that token vectors may take. What is beyond it is kept in pinned host memory.
    tokens_share: float = Field(0.7, ge=0, le=1)
    #: Scratch memory of the searches, set aside before anything else is placed.
    scratch_mib: int = Field(512, ge=1)
    #: Pinned host memory for token vectors that the card has no room for; 0: none.
    pinned_mib: int = Field(4096, ge=0)
    #: Questions computed together at most. A batch shrinks by itself where memory is short.
    max_batch: int = Field(64, ge=1, le=1024)
    #: What a question waits for company. At 0 a batch is what came in while the one before it was computed.
    max_wait_ms: float = Field(0.0, ge=0, le=1000)
    #: Questions that may wait; one more is refused at once.
    max_queue: int = Field(1024, ge=1)
    #: A question that the GPU has not answered by then is answered by the CPU.
    timeout_ms: float = Field(10_000.0, gt=0)


class Interface(_Stage):
    """What the web page offers for this index; changes nothing that is indexed or found."""

    #: Questions shown as buttons under the question box.
    examples: tuple[str, ...] = Field((), max_length=8)


class Jobs(_Stage):
    """How ``ragjp index`` works through the sources; changes nothing that is found."""

    #: Share of the index's documents whose files may be gone at once; more look like an unmounted folder, and stay. 0: none, 1: any.
    max_removed_share: float = Field(0.2, ge=0, le=1)
    #: Reading processes at work at the same time. 0: one a core, at most four.
    readers: int = Field(0, ge=0, le=64)


class Japanese(_Stage):
    """The company's own words: files beside the recipe, in UTF-8. What they held when the recipe was read goes with the index."""

    #: Groups of words that mean the same; :mod:`ragjp.japanese.synonyms` describes the file. Changes count from the next question on.
    synonyms: str | None = None
    synonyms_text: str = ""
    #: Words that the segmenter does not know; :mod:`ragjp.japanese.words` describes the file. Changes count with the next ``ragjp index``.
    dictionary: str | None = None
    dictionary_text: str = ""
    #: Whether the list that comes with ragjp is used too.
    builtin_synonyms: bool = True
    #: What a synonym counts, where the word that was asked for counts 1.
    synonym_weight: float = Field(0.7, ge=0, lt=1)

    @field_validator("synonyms", "dictionary")
    @classmethod
    def _beside_the_recipe(cls, name: str | None) -> str | None:
        """An index is carried about: no name in it may lead outside the folder that it lies in."""
        if name is not None and (not name or Path(name).is_absolute() or ".." in Path(name).parts):
            raise ValueError("レシピのフォルダーの中のファイル名を書いてください")
        return name


class Recipe(_Stage):
    """Everything that decides what an index holds and how it answers."""

    name: str = Field(pattern=r"^[\w-][\w.-]{0,63}$")
    sources: tuple[Source, ...] = ()
    limits: Limits = Limits()
    chunks: Chunking = Chunking()
    jobs: Jobs = Jobs()
    japanese: Japanese = Japanese()
    encoder: EncoderChoice = EncoderChoice()
    retrieval: Retrieval = Retrieval()
    rerank: Reranking = Reranking()
    answer: Answering = Answering()
    device: DeviceUse = DeviceUse()
    ui: Interface = Interface()


def parse_recipe(values: Mapping[str, object], *, where: str) -> Recipe:
    """Check plain values against :class:`Recipe`.

    Raises
    ------
    RecipeError
        One sentence naming the key, what is wrong with it, and ``where`` it was read.
    """
    try:
        return Recipe.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(全体)"
        reason = "知らない項目です" if first["type"] == "extra_forbidden" else str(first["msg"])
        raise RecipeError(
            f"レシピ {where} の「{key}」が正しくありません（{reason}）。docs/ARCHITECTURE.md の一覧と見比べて直してください。"
        ) from error


def load_recipe(path: Path) -> Recipe:
    """Read a recipe from a TOML file.

    Raises
    ------
    RecipeError
        When the file is missing, is not TOML, or says something impossible.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(
            f"レシピ {path} を開けません。ファイル名を確かめてください。", code="recipe_missing"
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"レシピ {path} が UTF-8 ではありません。UTF-8 で保存し直してください。"
        ) from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(
            f"レシピ {path} は TOML として読めません（{error}）。その行を直してください。"
        ) from error
    return _with_files(parse_recipe(values, where=str(path)), path)


def _with_files(recipe: Recipe, path: Path) -> Recipe:
    """Read the files of words that a recipe names."""
    japanese = recipe.japanese
    named = {"synonyms": japanese.synonyms, "dictionary": japanese.dictionary}
    for key in named:
        if getattr(japanese, f"{key}_text"):
            raise RecipeError(
                f"レシピ {path} の「japanese.{key}_text」は書けません。ことばはファイルに書き、「{key}」にその名前を書いてください。"
            )
    read = {f"{key}_text": read_words(path.parent / name) for key, name in named.items() if name}
    return recipe.model_copy(update={"japanese": japanese.model_copy(update=read)})


def read_words(path: Path) -> str:
    """Read a file of words, of at most 1 MiB.

    Raises
    ------
    RecipeError
        When it is missing, too large or not UTF-8: one sentence; codes ``words_missing``, ``words_too_large``, ``words_encoding``.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would keep every question waiting
            raise FileNotFoundError(errno.ENOENT, "通常のファイルではありません")
        with path.open("rb") as file:
            data = file.read(MOST_WORDS_BYTES + 1)
    except OSError as error:
        raise RecipeError(
            f"レシピに書かれたファイル {path} を開けません（{error.strerror}）。名前と置き場所を確かめてください。",
            code="words_missing",
        ) from error
    if len(data) > MOST_WORDS_BYTES:
        raise RecipeError(
            f"ファイル {path} が大きすぎます。{MOST_WORDS_BYTES >> 20} MiB までに減らしてください。",
            code="words_too_large",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RecipeError(
            f"ファイル {path} の {line} 行目が UTF-8 ではありません。UTF-8 で保存し直してください。",
            code="words_encoding",
        ) from error


def cache_folder() -> Path:
    """Where unpacked models are kept: ``RAGJP_CACHE``, else ``$XDG_CACHE_HOME/ragjp``, else ``~/.cache/ragjp``."""
    if chosen := os.environ.get("RAGJP_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ragjp"


def with_environment(answer: Answering) -> Answering:
    """Let ``RAGJP_LLM_ENDPOINT`` and ``RAGJP_LLM_MODEL`` override what the recipe says."""
    changes: dict[str, str] = {}
    if endpoint := os.environ.get("RAGJP_LLM_ENDPOINT"):
        changes["endpoint"] = endpoint
    if model := os.environ.get("RAGJP_LLM_MODEL"):
        changes["model"] = model
    return answer.model_copy(update=changes)


def device_wanted(device: DeviceUse | None = None) -> DeviceName:
    """Where to compute: ``RAGJP_DEVICE`` (``auto``, ``cpu``, ``cuda``), else what the recipe says.

    Raises
    ------
    RecipeError
        When the variable says something else, with the code ``bad_device``.
    """
    named = os.environ.get("RAGJP_DEVICE", "").strip().lower()
    if not named:
        return device.use if device else "auto"
    for known in get_args(DeviceName):
        if named == known:
            return cast("DeviceName", known)
    raise RecipeError(
        f"環境変数 RAGJP_DEVICE の「{named}」は正しくありません。auto、cpu、cuda のどれかにしてください。",
        code="bad_device",
    )


def api_key(answer: Answering) -> str:
    """Read the key of the LLM server; a placeholder for servers that want none."""
    name = answer.api_key_env
    return os.environ.get(name, "none") if name else "none"


class UISettings(_Stage):
    """What the web page is started with: which index it opens, and as whom it reads."""

    index: Path
    #: Everybody who opens the page reads as these principals; there is no login yet.
    principals: tuple[str, ...] = Field(min_length=1)


def ui_settings(index: Path | None = None) -> UISettings:
    """Settle what the page opens and as whom it reads.

    Parameters
    ----------
    index
        The index asked for on the command line; without one ``RAGJP_INDEX``, else ``indexes/demo``.
        The principals are those of ``RAGJP_UI_PRINCIPALS`` (comma-separated), else ``everyone``.
    """
    named = os.environ.get("RAGJP_UI_PRINCIPALS", "").split(",")
    principals = tuple(name.strip() for name in named if name.strip())
    return UISettings(
        index=index or Path(os.environ.get("RAGJP_INDEX") or "indexes/demo"),
        principals=principals or ("everyone",),
    )
