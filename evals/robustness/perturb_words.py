"""Tables of the perturbation: how people spell and mistype. Written from usage, never from a benchmark's passages or questions."""

from __future__ import annotations

#: One word in several spellings, all in use.
SPELLINGS = tuple(
    tuple(line.split())
    for line in """
行う 行なう おこなう
行った 行なった おこなった
行われ 行なわれ おこなわれ
表す 表わす あらわす
現れる 現われる あらわれる
著した 著わした
生まれ 生れ うまれ
終わり 終り おわり
終わった 終った おわった
変わった 変った かわった
起こった 起った おこった
当たる 当る あたる
始まった 始った はじまった
暮らし 暮し くらし
落とし 落し おとし
向かう 向う むかう
申し込み 申込み 申込
取り扱い 取扱い 取扱
受け付け 受付け 受付
手続き 手続
売り上げ 売上げ 売上
打ち合わせ 打合せ
組み合わせ 組合せ
取り組み 取組み 取組
引き渡し 引渡し
見積もり 見積り 見積
問い合わせ 問合せ
割り当て 割当て 割当
支払い 支払
乗り換え 乗換え 乗換
受け入れ 受入れ
繰り返し 繰返し
例えば たとえば
様々 さまざま
全て すべて
誰 だれ
何処 どこ
何時 いつ
及び および
又は または
初めて はじめて
子供 子ども こども
友達 友だち ともだち
人達 人たち
一番 いちばん
出来る できる
出来た できた
無い ない
事 こと
為 ため
下さい ください
亡くなった なくなった
呼ばれ よばれ
作られ 造られ つくられ
頃 ころ
達成 たっせい
附属 付属
聯合 連合
コンピューター コンピュータ
サーバー サーバ
ユーザー ユーザ
メーカー メーカ
センター センタ
プリンター プリンタ
エレベーター エレベータ
モーター モータ
レーダー レーダ
カテゴリー カテゴリ
メモリー メモリ
バッテリー バッテリ
ディレクター ディレクタ
プロデューサー プロデューサ
インターフェース インターフェイス インタフェース
ソフトウェア ソフトウエア
ハードウェア ハードウエア
ウィルス ウイルス
ウェブ ウエブ
デジタル ディジタル
レポート リポート
ダイヤモンド ダイアモンド
バイオリン ヴァイオリン
ベートーヴェン ベートーベン
ヴェネツィア ベネチア ヴェネチア
ヴェルサイユ ベルサイユ
ヴィクトリア ビクトリア
""".strip().splitlines()
)

#: Words that are written with the wrong kanji of the same reading.
HOMOPHONES = tuple(
    tuple(line.split())
    for line in """
期間 機関 器官
対象 対照 対称
保証 保障 補償
開放 解放
作成 作製
制作 製作 政策
以上 異常
以外 意外
公演 講演 公園
機械 機会
関心 感心 歓心
回答 解答
移動 異動
意志 意思
決済 決裁
追求 追及 追究
体制 態勢 大勢
過程 課程 仮定
収集 収拾
特徴 特長
平行 並行
強力 協力
共同 協同
使用 仕様 試用
指名 使命 氏名
時期 時季 次期
精算 清算 生産
創造 想像
店員 定員
管理 監理
規定 規程
改定 改訂
所要 所用
支給 至急
出張 主張
自身 自信 地震
首相 主将
人口 人工
最後 最期
競技 協議 狭義
工程 校庭 公定
構成 校正 厚生
現在 原罪
戦争 船倉
勝利 小利
名称 名将 明証
事件 事権
歴史 歴氏
地域 治域
国家 国歌
選手 先手
""".strip().splitlines()
)
#: Single kanji of one reading.
SAME_READING = tuple(
    "会回開階 校高公工功 者社車 長朝町 生成政製 市史氏詞 大代台 名命明 時次児 地知値 国黒 州集週 県件券 村尊損 線戦船 作昨策 曲局極 "
    "島東等 教今強 号合 世正 楽額 学岳 数枢 年念 郎労 科課家 法方 力緑 種主首 最再 年念 士子司 隊対 軍群 党頭 省章賞".split()
)

#: New form → the old or personal form that some people type.
OLD_KANJI = dict(
    zip(
        "国学沢辺斎高崎浜島広桜恵万鉄台医芸体円会発戦気関当独",
        "國學澤邊齋髙﨑濱嶋廣櫻惠萬鐵臺醫藝體圓會發戰氣關當獨",
        strict=True,
    )
)

_ROWS = (
    "あいうえお かきくけこ さしすせそ たちつてと なにぬねの はひふへほ まみむめも やゆよ らりるれろ わを "
    "がぎぐげご ざじずぜぞ だぢづでど ばびぶべぼ ぱぴぷぺぽ"
).split()
#: A kana → the other kana of its row; hiragana and katakana.
SAME_ROW: dict[str, str] = {
    chr(ord(kana) + shift): "".join(chr(ord(other) + shift) for other in row if other != kana)
    for row in _ROWS
    for kana in row
    for shift in (0, ord("ア") - ord("あ"))
}

#: Full-width katakana and marks → half-width.
HALF_WIDTH: dict[str, str] = {
    **dict(
        zip(
            "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲンァィゥェォャュョッー。「」、・",
            "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜｦﾝｧｨｩｪｫｬｭｮｯｰ｡｢｣､･",
            strict=True,
        )
    ),
    **dict(
        zip(
            "ガギグゲゴザジズゼゾダヂヅデドバビブベボヴ",
            [c + "ﾞ" for c in "ｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾊﾋﾌﾍﾎｳ"],
            strict=True,
        )
    ),
    **dict(zip("パピプペポ", [c + "ﾟ" for c in "ﾊﾋﾌﾍﾎ"], strict=True)),
}

OPENINGS = (
    "",
    "",
    "すみません、",
    "恐れ入りますが、",
    "お忙しいところ恐縮ですが、",
    "お世話になっております。",
)
CLOSINGS = (
    "教えていただけますでしょうか。",
    "ご教示いただけますと幸いです。",
    "教えてください。",
    "知りたいのですが、教えてもらえますか？",
)
#: First years of the eras, newest first.
ERAS = (("令和", 2019), ("平成", 1989), ("昭和", 1926), ("大正", 1912), ("明治", 1868))
