"""English and Chinese words that show whether a sentence goes on over a line end."""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OPEN: Final = _words(
    """a an the my your its our their every and or nor than as if because although unless since while
    whose that into onto upon toward towards between among against during within via per until
    versus including despite except mr mrs ms dr prof st mt der den dem des ein eine einen und oder
    zum zur mit für von le les une du et aux dans pour sur avec el los las del con para y"""
)
"""A line that ends in one of these goes on, whatever follows."""
_PREPOSITIONS: Final = _words(
    """to for about under near across through like with without of from at by in but when where who
    whom which whether till called named"""
)
"""A line of verse or speech ends in them as well: they go on but before a beginning of a sentence."""
_LAST: Final = _words(
    """this these no so do does did is are was were am be been being have has had too will would can
    could shall should may might must cannot not more most less least very such both either neither
    only also just his her on up out off over down along around before after behind below above see
    meet visit call ask tell find help join buy get make take use show give thank invite leave reach
    bring watch hear know love want need said says told asked met saw visited joined found
    bought made took used showed gave thanked invited left reached brought watched heard lived born
    year president professor doctor writer author actor king queen city"""
)
"""These often end a line, so it goes on only before a name or a number."""

_BEGINNERS: Final = _words(
    """i the this that these those it he she they we you there here a an my our his her its your
    their who what when where why how which and but so or if then for in on at to from with by as of
    because although since until once while after before now let let's please also however therefore
    no not yes yeah oh o well ok okay thanks hello hi dear good great some most many all one each
    every both few more less only just never always sometimes maybe perhaps today tonight tomorrow
    yesterday next first second third last finally is are was were do does did can could will would
    shall should may might must have has had am be don't i'm i'll i've it's that's there's you're
    we're they're can't won't didn't isn't thou thy thee o'er nor yet till like such old new two
    three through over under up down out into upon without within between around about above below
    between behind beyond long far still ever even whose whom whatever another other nothing
    everything something someone everyone nobody any add avoid bake be begin boil book bring build
    buy call check choose clean click close come compare consider continue cook cover create cut
    drain drink drop eat enjoy enter exercise expect find follow get give go heat help hold install
    join keep learn leave let line listen live look love make melt mix move open ask pack pay peel
    place plan play pour practice practise preheat prepare press provide put read remember remove
    repeat rest review rinse roast run save season see select send serve set share simmer sing sit
    sleep slice spread sprinkle stand start stay step stir stop take talk tell think try turn type
    update use visit wait wake walk wash watch whisk work write"""
)
_NAMES: Final = _words(
    """january february march april june july august september october november december monday
    tuesday wednesday thursday friday saturday sunday jan feb mar apr jun jul aug sep sept oct nov
    dec mr mrs ms dr prof st sir lady lord queen king president pope saint mount lake north south
    america american africa african asia asian europe european australia australian austria bavaria
    beijing belgium berlin boston brazil britain british california canada canadian chicago china
    chinese christmas dublin dutch easter egypt england english florida france french geneva german
    germany google greece greek hamburg india indian ireland irish israel italian italy japan
    japanese java javascript johannesburg korea korean linux london madrid mexico microsoft moscow
    munich oxford cambridge paris parliament poland portugal python rome russia russian scotland
    scottish shanghai singapore spain spanish sweden swedish swiss switzerland sydney texas tokyo
    toronto turkey turkish vienna vietnam virginia wales washington zurich york john mary james
    robert michael william david richard thomas charles peter paul george henry edward anna emma
    alice jane elizabeth sarah maria smith brown jones wang zhang"""
)

_NUMBERED: Final = _words(
    """january february march april may june july august september october november december jan feb
    mar apr jun jul aug sep sept oct nov dec no nos page pages chapter chapters version number figure
    fig section table line lines step room gate flight platform route highway day act scene part
    volume vol year years than about over nearly almost around roughly some only at of in by since
    until between another last next"""
)
"""A number is likely to follow them."""

SALUTATIONS: Final = (
    *("dear ", "hi", "hello", "hey", "good morning", "good afternoon", "good evening", "greetings"),
    *("best", "kind regards", "warm regards", "regards", "yours", "sincerely", "cheers", "thanks"),
    *("thank you", "many thanks", "love", "respectfully", "cordially", "all the best", "尊敬的"),
    *("亲爱的", "敬爱的", "您好", "你好", "大家好", "各位"),
)
"""Beginnings of the first and last lines of a letter."""

_HAN_OPEN: Final = frozenset("和与及或在把被从将向是很这那每第各该使让给对于由为以比跟而并且但若即")
_HAN_TAILS: Final = frozenset("了的着们吗呢吧么")
_HAN_WORDS: Final = ("的确", "的士", "了解", "着急", "着手", "着重", "着眼", "着实")


def goes_on(word: str) -> bool:
    """Whether a line that ends in `word` goes on whatever follows."""
    return word.lower().rstrip(".") in _OPEN


def may_go_on(word: str) -> bool:
    """Whether a line that ends in `word` goes on if what follows begins no sentence."""
    return word.lower() in _PREPOSITIONS


def takes_name(word: str) -> bool:
    """Whether a line that ends in `word` goes on if, and likely only if, a name or a number follows."""
    return word.lower() in _LAST


def takes_number(word: str) -> bool:
    """Whether a line that ends in `word` goes on if a number follows."""
    return word.lower().rstrip(".") in _NUMBERED


def begins_line(word: str) -> bool:
    """Whether a capitalised word often begins a sentence or a line."""
    return word.lower().replace("’", "'") in _BEGINNERS


def is_name(word: str) -> bool:
    """Whether a capitalised word has its capital inside a sentence too: a known name or an acronym."""
    plain = word.rstrip(".")
    return plain.lower() in _NAMES or (len(plain) > 1 and plain[1:] != plain[1:].lower())


def han_goes_on(last: str) -> bool:
    """Whether a Chinese line that ends in `last` goes on."""
    return last in _HAN_OPEN


def han_continues(following: str) -> bool:
    """Whether a line that begins with these two characters goes on from the one before."""
    return following[:1] in _HAN_TAILS and following not in _HAN_WORDS
