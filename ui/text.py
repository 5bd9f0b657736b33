"""Every sentence the page says, in plain Japanese.

All of it is ours, so it may be drawn as Markdown; the only things filled in are numbers. What comes from documents, models or
users is never put into these but into :func:`match`, and it is drawn by :mod:`ui.inert`.
"""

from __future__ import annotations

APP = "社内文書検索"
ASK = "質問する"
SEARCH = "文書を探す"
OPENING = "索引を開いています…"

# --- asking
ASK_LEAD = "社内文書から答えを探し、根拠になったページと一緒に表示します。"
QUESTION_LABEL = "質問"
QUESTION_HINT = "例：出張の日当はいくらですか。"
ASK_BUTTON = "質問する"
EXAMPLES = "たとえば"
EMPTY_QUESTION = "質問を入力してから、もう一度押してください。"
SEARCHING = "検索中…"
READING = "見つかったページを読んでいます…"
WRITING = "答えを書いています…"
YOUR_QUESTION = "質問"
ANSWER = "答え"
EXTRACTED = "文書の記載を抜き出した答えです。"
WRITTEN = "言語モデルが書いた答えです。根拠のページを開いて、確かめてからお使いください。"
CITATIONS = "根拠になったページ"
NO_ANSWER = "文書の中に、はっきりした答えは見つかりませんでした。"
NO_ANSWER_ADVICE = "言葉を変えるか、もう少しくわしく質問すると、見つかることがあります。"
NEAREST = "近いページ"
NEAREST_LEAD = "答えではありませんが、質問に近い内容のページです。"

# --- searching
SEARCH_LEAD = "言葉や文で、社内文書のページを探します。"
QUERY_LABEL = "探す言葉"
QUERY_HINT = "例：在宅勤務手当"
QUERY_HELP = (
    'そのままの言葉が入っている所だけを探すときは "年次有給休暇" のように引用符で囲みます。'
    "除きたい言葉は -賞与 のように、題名で絞るときは title:就業規則 のように書きます。"
)
COUNT_LABEL = "表示する件数"
SEARCH_BUTTON = "探す"
EMPTY_QUERY = "探す言葉を入力してから、もう一度押してください。"
NO_HITS = "検索結果はありません。別の言葉で探してみてください。"
SCORES = "点数を見る"
SCORES_LEAD = "長いほど良い結果です。それぞれ、この検索でいちばん高い点を右端にしています。"
SCORE_NAMES = {
    "bm25": "言葉の一致",
    "dense": "意味の近さ",
    "fused": "一致と近さの合計",
    "maxsim": "細かい読み比べ",
}

# --- why something was found
WHY = "なぜ見つかったか"
HOW_READ = "質問の読み取り方"
EXPLAINING = "理由を調べています…"
FOLDED = "表記をそろえた所"
FORMS = "日付・数値の別の書き方"
OWN_WORDS = "社内の辞書にある言葉"
UNSEEN = "見られる文書のどこにもない言葉"
MATCHED_WORDS = "合っていた言葉（書かれているとおり）"
NEAR_WORDS = "意味の近い所（質問 → 文書、1 に近いほど近い）"
CHANGED_SINCE = "この文書は、検索したあとに更新されました。もう一度探すと、理由を表示できます。"
FATES = {
    "term": "探した",
    "number": "数として探した",
    "particle": "助詞",
    "auxiliary": "助動詞",
    "sign": "記号",
    "blank": "空白",
    "unused": "疑問の言葉",
}
SHARE_NAMES = {
    "bm25": "言葉の一致",
    "dense": "意味の近さ",
    "maxsim": "細かい読み比べ",
    "page": "ページ全体の読み比べ",
}

# --- a page of a document
OPEN_PAGE = "このページを開く"
PAGE_TITLE = "文書のページ"
WHOLE_PAGE = "ページの全文を表示する"
PAGE_CHANGED = "この文書は、検索したあとに更新されました。印は付けずに、いまの内容を表示します。"

# --- when something is wrong
FAILED = "うまくいきませんでした"
UNEXPECTED = "予期しない問題が起きました。少し待ってから、もう一度お試しください。続くときは管理者に知らせてください。"
BUILD_INDEX = "見本の索引は、端末で `make demo` を実行すると作れます。"


def count(number: int) -> str:
    """Say how many results there may be."""
    return f"{number} 件"


def found(number: int) -> str:
    """Say how many results there are."""
    return f"{number} 件見つかりました。"


def page(number: int) -> str:
    """Name a page."""
    return f"{number} ページ"


def citation(number: int) -> str:
    """Name a citation as the answer's text does."""
    return f"[{number}]"


def hidden_before(characters: int) -> str:
    """Say how much of the page is not shown above the passage."""
    return f"（この前に {characters:,} 文字あります）"


def hidden_after(characters: int) -> str:
    """Say how much of the page is not shown below the passage."""
    return f"（このあとに {characters:,} 文字あります）"


def score(name: str, value: float) -> str:
    """Say what one ranking gave."""
    return f"{SCORE_NAMES[name]}  {value:.2f}"


def share(name: str, part: float) -> str:
    """Say which part of a hit's score a ranking brought."""
    return f"{SHARE_NAMES[name]}  {part:.0%}"


def ranks(bm25: int | None, dense: int | None, fused: int, final: int) -> str:
    """Say where a hit stood on the way."""
    words, meaning = ("圏外" if rank is None else f"{rank} 位" for rank in (bm25, dense))
    return (
        f"言葉の一致で {words}、意味の近さで {meaning}、合わせて {fused} 位、読み比べて {final} 位"
    )


def match(written: str, count: int, of: str) -> str:
    """Say which words matched; drawn as a document's text, for the words are its."""
    also = f"（「{of}」の同義語）" if of else ""
    return f"{written}{also}　{count} 回"


def more_words(number: int) -> str:
    """Say how many words are not shown."""
    return f"ほか {number} 語"
