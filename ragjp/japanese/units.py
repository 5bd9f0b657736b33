"""Units that stand behind a number, in every usual spelling, and the one spelling that each becomes.

Folded spellings: lower case, ㎡ is ``m2``, ㌔ is キロ. キロ by itself may be metres or grams and stays
what it is; so does ポンド. A capital L is an l by then, and MW (mega) an mw (milli): neither is listed.
"""

from __future__ import annotations

#: Unit → its other spellings.
_MEASURES = {
    "mm": "ミリメートル ミリメーター ミリ",
    "cm": "センチメートル センチメーター センチ",
    "m": "メートル メーター",
    "km": "キロメートル キロメーター",
    "cm2": "平方センチメートル 平方センチ 平方cm",
    "m2": "平方メートル 平方m 平米",
    "km2": "平方キロメートル 平方キロ 平方km",
    "ha": "ヘクタール",
    "m3": "立方メートル 立方m 立米",
    "cm3": "立方センチメートル 立方センチ 立方cm",
    "ml": "ミリリットル",
    "dl": "デシリットル",
    "l": "リットル リッター",
    "kl": "キロリットル",
    "mg": "ミリグラム",
    "g": "グラム",
    "kg": "キログラム",
    "t": "トン",
    "度": "°c °",
    "w": "ワット",
    "kw": "キロワット",
    "kwh": "キロワット時 キロワットアワー",
    "v": "ボルト",
    "hz": "ヘルツ",
    "khz": "キロヘルツ",
    "mhz": "メガヘルツ",
    "ghz": "ギガヘルツ",
    "db": "デシベル",
    "kb": "キロバイト",
    "mb": "メガバイト",
    "gb": "ギガバイト",
    "tb": "テラバイト",
    "%": "パーセント",
    "ポイント": "pt",
    "ドル": "米ドル",
    "ユーロ": "",
    "円": "",
    "四半期": "q",
    "歳": "才",
    "か月": "か月間 ヶ月間",
}
MEASURES = tuple(_MEASURES)
#: What is counted with か in all its shapes: か月, ヶ月, ヵ月, カ月, ケ月, 箇月, 個月.
_COUNTED = ("月", "所", "国", "年", "条", "村")
_SHAPES = "かヶヵカケ箇個"
_COUNTERS = "条章節項号款編回期版件人名社個台株点枚冊本歳級等倍票室階次位校棟戸隻両日年時分秒"
_LONGER = ("週間", "時間", "営業日", "ページ", "世紀", "丁目", "番地", "世帯", "文字")

#: Every spelling → its unit.
UNITS: dict[str, str] = {
    **{unit: unit for unit in (*_COUNTERS, *_LONGER, *_MEASURES)},
    **{shape + what: f"か{what}" for what in _COUNTED for shape in _SHAPES},
    **{other: unit for unit, others in _MEASURES.items() for other in others.split()},
}
