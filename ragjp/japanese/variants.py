"""Tables of characters that are written differently and searched as one. Ours, itemised.

Every table maps one character to one character and is read by ``normalize``. Old and new forms
follow the list of jōyō kanji (2010) and the forms found in names of people and places. Kept apart
on purpose, being different characters and not two shapes of one: 斎 and 斉; 竜 and 龍 (龍 is the
usual form in names, and the dictionary knows it). 弁 is the new form of three old characters.
The terms of names make one of these, too (``NAME_SHAPES``); the folded text does not.
"""

from __future__ import annotations


def _pairs(listing: str) -> dict[str, str]:
    """Read ``旧新 旧新 …`` into a mapping from the first character of each pair to the second."""
    return {pair[0]: pair[1] for pair in listing.split()}


#: Old forms and the new forms of the jōyō list.
OLD_FORMS = _pairs("""
亞亜 惡悪 壓圧 圍囲 醫医 爲為 壹壱 稻稲 飮飲 隱隠 營営 榮栄 衞衛 驛駅 悅悦 閱閲 圓円 緣縁 艷艶
鹽塩 奧奥 應応 橫横 歐欧 毆殴 黃黄 溫温 穩穏 假仮 價価 畫画 會会 繪絵 壞壊 懷懐 槪概 擴拡 殼殻
覺覚 學学 嶽岳 樂楽 罐缶 卷巻 陷陥 勸勧 寬寛 關関 歡歓 觀観 顏顔 歸帰 氣気 旣既 龜亀 僞偽 戲戯
犧犠 舊旧 據拠 擧挙 虛虚 峽峡 挾挟 狹狭 敎教 鄕郷 曉暁 區区 驅駆 勳勲 薰薫 徑径 莖茎 惠恵 揭掲
溪渓 經経 螢蛍 輕軽 繼継 鷄鶏 藝芸 擊撃 缺欠 硏研 縣県 儉倹 劍剣 險険 圈圏 檢検 獻献 權権 顯顕
驗験 嚴厳 效効 廣広 恆恒 鑛鉱 號号 國国 黑黒 碎砕 濟済 齋斎 劑剤 櫻桜 册冊 雜雑 參参 慘惨 棧桟
蠶蚕 贊賛 殘残 絲糸 齒歯 兒児 辭辞 濕湿 實実 舍舎 寫写 釋釈 壽寿 收収 從従 澁渋 獸獣 縱縦 肅粛
處処 敍叙 將将 稱称 涉渉 燒焼 證証 奬奨 條条 狀状 乘乗 淨浄 剩剰 疊畳 繩縄 壤壌 孃嬢 讓譲 釀醸
觸触 囑嘱 眞真 寢寝 愼慎 盡尽 圖図 粹粋 醉酔 穗穂 隨随 髓髄 樞枢 數数 瀨瀬 聲声 齊斉 靜静 竊窃
攝摂 專専 淺浅 戰戦 踐践 錢銭 潛潜 纖繊 禪禅 曾曽 雙双 壯壮 搜捜 插挿 巢巣 爭争 瘦痩 窗窓 總総
聰聡 莊荘 裝装 騷騒 增増 藏蔵 臟臓 卽即 屬属 續続 墮堕 對対 體体 帶帯 滯滞 臺台 瀧滝 擇択 澤沢
擔担 單単 膽胆 團団 彈弾 斷断 癡痴 遲遅 晝昼 蟲虫 鑄鋳 廳庁 聽聴 徵徴 敕勅 鎭鎮 遞逓 鐵鉄 轉転
點点 傳伝 黨党 盜盗 燈灯 當当 鬪闘 德徳 獨独 讀読 屆届 貳弐 姙妊 黏粘 惱悩 腦脳 霸覇 廢廃 拜拝
賣売 麥麦 發発 髮髪 拔抜 蠻蛮 祕秘 濱浜 甁瓶 拂払 佛仏 倂併 竝並 變変 邊辺 辨弁 瓣弁 辯弁 舖舗
步歩 寶宝 豐豊 襃褒 沒没 飜翻 槇槙 萬万 滿満 默黙 餠餅 彌弥 譯訳 藥薬 與与 豫予 餘余 譽誉 搖揺
樣様 謠謡 來来 賴頼 亂乱 覽覧 兩両 獵猟 綠緑 壘塁 淚涙 勵励 禮礼 隸隷 靈霊 齡齢 戀恋 爐炉 勞労
樓楼 錄録 灣湾 吳呉 娛娯 查査 晉晋 堯尭 巖巌 遙遥 瑤瑶 凜凛 萠萌 彥彦 穎頴 祿禄 禰祢 檜桧 稅税
說説 脫脱 鈆鉛 峯峰 嶋島 嶌島 淸清 靑青 凉涼 淒凄 絕絶 緖緒 屛屏 頰頬 塡填 剝剥 噓嘘 繫繋 蔣蒋
蠟蝋 醬醤 鷗鴎 麵麺 摑掴 攪撹 瀆涜 禱祷 簞箪 軀躯 鹼鹸 囊嚢 焰焔 俠侠 俱倶 吞呑 啞唖 嚙噛 姸妍
屢屡 幷并 搔掻 潑溌 荆荊 萊莱 蔥葱 裵裴 賤賎 逬迸 頹頽 顚顛 驒騨 麴麹 强強 讚讃
""")
#: Shapes of characters found in names of people and places.
NAME_FORMS = _pairs("""
髙高 﨑崎 嵜崎 碕崎 邉辺 濵浜 槗橋 栁柳 冨富 桒桑 舘館 齌斎 桺柳 𠮷吉 靏鶴 靍鶴 曻昇 埜野 凞煕
熈煕 熙煕 渕淵 渊淵 籔藪 薮藪 閒間 迯逃 﨟臈 曆暦 歷歴 銳鋭 礒磯 砿鉱 侭儘 壷壺 靱靭 鈎鉤 諌諫
蝿蠅 頚頸
""")
#: Radicals that PDF files put in the place of the character itself (the Kangxi block is NFKC's).
RADICALS = _pairs("""
⺠民 ⻑長 ⻄西 ⻘青 ⻝食 ⻤鬼 ⻨麦 ⻩黄 ⻭歯 ⻯竜 ⻲亀 ⻁虎 ⻂衣 ⻃西 ⻆角 ⻉貝 ⻋車 ⻌辶 ⻍辶
⻎辶 ⻏阝 ⻖阝 ⻗雨 ⻙韋 ⻚頁 ⻛風 ⻜飛 ⻟食 ⻠食 ⻢馬 ⻣骨 ⻥魚 ⻦鳥 ⻫斉 ⻬斉 ⻮歯 ⻰竜 ⺀冫
⺁厂 ⺃乙 ⺅亻 ⺆冂 ⺉刂 ⺋卩 ⺌小 ⺍小 ⺎尢 ⺏尢 ⺑尢 ⺒巳 ⺓幺 ⺔彑 ⺕彐 ⺖忄 ⺗心 ⺘扌 ⺙攵
⺛旡 ⺜日 ⺝月 ⺞歹 ⺡氵 ⺢水 ⺣灬 ⺤爫 ⺥爫 ⺦丬 ⺨犭 ⺩王 ⺪疋 ⺫罒 ⺬示 ⺭礻 ⺮竹 ⺯糸 ⺰糸
⺱网 ⺲罒 ⺷羊 ⺸羊 ⺹老 ⺺聿 ⺻聿 ⺼月 ⺽臼 ⺾艹 ⺿艹 ⻀艹 ⻇角 ⻈言 ⻊足 ⻓長 ⻔門
""")
#: Dashes, minus signs and box lines used as dashes; all become a hyphen-minus.
DASHES = dict.fromkeys("‐‒–—―−⁃⎯─━➖", "-")
#: Wave dashes and tildes; all become a tilde.
WAVES = dict.fromkeys("〜∼∾〰", "~")
#: Quotation marks of proportional fonts, the fraction slash of ½.
MARKS = {"‘": "'", "’": "'", "“": '"', "”": '"', "⁄": "/"}

#: All of the above. No right side is a left side, and no side changes under NFKC.
VARIANTS: dict[str, str] = {
    **OLD_FORMS,
    **NAME_FORMS,
    **RADICALS,
    **DASHES,
    **WAVES,
    **MARKS,
}

#: Characters that stand for one another in names of people and places, and small ヶ. For terms of proper nouns only.
NAME_SHAPES = str.maketrans(_pairs("斎斉 龍竜 籠篭 苅刈 躰体 祇祗 蘆芦 莵菟 ヶケ ヵカ"))
#: Kinds of companies and foundations as they stand in brackets before the name, and written out.
COMPANIES = {
    "株": "株式会社",
    "有": "有限会社",
    "資": "合資会社",
    "名": "合名会社",
    "同": "合同会社",
    "社": "社団法人",
    "財": "財団法人",
    "一社": "一般社団法人",
    "一財": "一般財団法人",
    "公社": "公益社団法人",
    "公財": "公益財団法人",
    "独": "独立行政法人",
    "地独": "地方独立行政法人",
    "国研": "国立研究開発法人",
    "特非": "特定非営利活動法人",
    "学": "学校法人",
    "医": "医療法人",
    "福": "社会福祉法人",
    "宗": "宗教法人",
}
