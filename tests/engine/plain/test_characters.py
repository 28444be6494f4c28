"""Characters that stand for others, and what is read for them."""

from __future__ import annotations

import pytest

from support.writing.plain import in_pieces, plain

FORMS = {
    "密码是７３５１": "密码是7351",
    "ＵＳＢ接口": "USB接口",
    "５０％ ＋ ＄３": "50% + $3",
    "１，０００．５": "1,000.5",
    "甲，乙．丙": "甲，乙．丙",
    "１，２，３": "1，2，3",
    "𝗪𝗼𝘄 𝓼𝓸 𝟙": "Wow so 1",
    "ⓦⓞⓦ Ⓐ 🄰 🅷🅸 ꜱᴍᴀʟʟ": "wow A A HI small",
    "ﬁne ﬂow ĳ": "fine flow ij",
    "选②和⑳": "选2和20",
    "选①②": "选1 2",
    "❸x": "3. x",
    "② Go\n③ Stop": "2. Go\n3. Stop",
    "②买菜\n③ 做饭": "2、买菜\n3、做饭",
    "①、买菜": "1、买菜",
    "1️⃣ Install": "1. Install",
    "㊀买": "一、买",
    "Type Ⅳ": "Type IV",
    "第Ⅳ章 ⅩⅣ世": "第4章 14世",
    "Ⅲ、总结": "3、总结",
    "５㎝ ㎡ ㏒ ㎞ ㎏ ㎛ ㎧": "5cm m² log km kg µm m/s",
    "𝛽 ﹪ 𝛜": "β % ε",
    "½ 2½ ⅓": "1/2 2 1/2 1/3",
    "ｱｲｳ ｶﾞｯ ﾊﾟ ｡": "アイウ ガッ パ 。",
    "a\u00a0b\u2009c\u3000d": "a b c d",
    "so\u00adft z\u200be \u202ert\u202c \ufeffx": "soft ze rt x",
    "m² x² 10⁻³ (a)³": "m² x² 10⁻³ (a)³",
    "² up": "2 up",
    "H₂O ᵗʰᵉ 1ˢᵗ": "H2O the 1st",
    "state‑of‑the‑art": "state-of-the-art",
    "می\u200cروم क्\u200dष": "می\u200cروم क्\u200dष",
    "⑴ ⒉ ㈱ ⼈": "(1) 2. (株) 人",
    "Acme™ ®": "Acme ",
    "What‼": "What!!",
}


@pytest.mark.parametrize(("text", "read"), FORMS.items())
def test_what_is_read(text: str, read: str) -> None:
    assert plain(text) == read
    for size in (1, 2, 3, 7):
        assert in_pieces(text, size) == read
