"""Which language a text is in, by its script and its commonest words; None where that does not tell.

What it cannot tell: languages that share a script, beyond those listed; texts of a few words, formulas, code; one
language inside another. It is made to notice what is surely in another language, and to stay silent otherwise.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

LEAST_COMMON = 4  # [ours] of a language's commonest words that a text must have
CLEARLY = 2  # [ours] times as many as of the next language
LEAST_LETTERS = 10  # [ours] with fewer, no script is told
KANA = 0.1  # [ours] kana per Han character that a Japanese text has at least; a Chinese one may quote a few
_LETTERS = re.compile(r"[^\W\d_]+")
_SCRIPTS = {
    "Latin": "A-Za-z\u00c0-\u024f", "Greek": "\u0370-\u03ff", "Cyrillic": "\u0400-\u052f", "Hebrew": "\u0590-\u05ff",
    "Arabic": "\u0600-\u06ff", "Devanagari": "\u0900-\u097f", "Thai": "\u0e00-\u0e7f", "Kana": "\u3040-\u30ff",
    "Hangul": "\uac00-\ud7af", "Han": "\u4e00-\u9fff",
}  # fmt: skip
_OF_SCRIPT = {name: re.compile(f"[{letters}]") for name, letters in _SCRIPTS.items()}
# [ours] words that are frequent in one language; shared ones count for each
_COMMON = {
    "English": "the of and to is that it was for with as are this be have by not from what how which you",
    "German": "der die das und ist nicht ein eine mit von zu auf den dem des sich auch wie wird sind für im",
    "French": "de en un à le la les et est des une du dans que qui pour pas sur avec ce sont par au aux il elle cette",
    "Spanish": "el la los las y es que en una por con para del se no como su al más lo este pero son",
    "Italian": "il la che di è e un una per non con del della sono gli nel come si questo più le dei anche",
    "Portuguese": "o a os as e é que em um uma para com não do da dos por se como mais ao na são",
    "Dutch": "de het een en van is dat niet op te zijn met voor die aan er ook als bij wordt deze naar",
    "Polish": "i w nie na się że do jest z to jak co po tym od za przez dla są być czy oraz który",
    "Swedish": "och att det som en är av för med den till på inte har de om ett var jag kan",
    "Danish or Norwegian": "og at det som en er af av for med den til på ikke har de om et var jeg kan",
    "Finnish": "ja on ei se että oli ovat mutta kun niin myös tai joka mukaan hän voi sen kuin jos ole",
    "Czech": "a se na je v že to s z do o k ve pro za by ale jako jsou které jsem bylo podle nebo",
    "Romanian": "și de a în la cu pe este nu că din sa un o pentru care mai sunt ca fi sau au prin",
    "Hungarian": "a az és hogy nem is egy ez meg csak de volt még mint vagy már ha el lehet",
    "Turkish": "ve bir bu da de için ile çok olarak daha ne gibi olan en var kadar sonra değil ya ise",
    "Vietnamese": "và của là có không trong được cho một những người các với để này khi đã ra về như",
    "Indonesian": "yang dan di dari untuk dengan ini itu tidak dalam pada adalah akan oleh juga ke bisa atau karena",
}
# ISO 639-1, by what is told: a language, or the script of several
CODES: Mapping[str, tuple[str, ...]] = {
    "English": ("en",), "German": ("de",), "French": ("fr",), "Spanish": ("es",), "Italian": ("it",),
    "Portuguese": ("pt",), "Dutch": ("nl",), "Polish": ("pl",), "Swedish": ("sv",), "Danish or Norwegian": ("da", "no"),
    "Finnish": ("fi",), "Czech": ("cs",), "Romanian": ("ro",), "Hungarian": ("hu",), "Turkish": ("tr",),
    "Vietnamese": ("vi",), "Indonesian": ("id",),
    "Greek": ("el",), "Cyrillic": ("ru", "uk", "bg", "sr", "be", "mk", "kk"), "Hebrew": ("he",),
    "Arabic": ("ar", "fa", "ur"), "Devanagari": ("hi", "mr", "ne"), "Thai": ("th",), "Kana": ("ja",),
    "Hangul": ("ko",), "Han": ("zh",),
}  # fmt: skip
KNOWN_CODES = frozenset(code for codes in CODES.values() for code in codes)
_WORDS = {language: frozenset(words.split()) for language, words in _COMMON.items()}


def script(text: str) -> str | None:
    """The script that most letters are of.

    >>> script("Кто плывёт на рассвете?"), script("42")
    ('Cyrillic', None)
    """
    counts = {name: len(letters.findall(text)) for name, letters in _OF_SCRIPT.items()}
    if counts["Kana"] > KANA * counts["Han"]:
        counts["Kana"] += counts.pop("Han")  # Japanese is written in both
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] >= LEAST_LETTERS else None


def language(text: str) -> str | None:
    """The language of a text in Latin script whose commonest words are clearly the most.

    >>> language("The crew sails to the island, and it is not the first that does."), language("Ahoy!")
    ('English', None)
    """
    words = Counter(_LETTERS.findall(text.casefold()))
    hits = {name: sum(words[word] for word in common) for name, common in _WORDS.items()}
    (best, most), (_, second) = Counter(hits).most_common(2)
    return best if most >= LEAST_COMMON and most >= CLEARLY * second else None


def differ(one: str, other: str) -> bool:
    """Say whether two texts are surely in different languages.

    >>> differ("The crew of the ship sails with the tide.", "Die Besatzung ist mit der Flut auf das Meer gefahren.")
    True
    """
    scripts, languages = {script(one), script(other)} - {None}, {language(one), language(other)} - {None}
    return len(scripts) == 2 or (scripts == {"Latin"} and len(languages) == 2)


def told(text: str) -> str | None:
    """The language of a text, or its script if that is not Latin; a key of CODES. None where neither can be told.

    >>> told("The crew sails to the island, and it is not the first that does."), told("Кто плывёт на рассвете?")
    ('English', 'Cyrillic')
    """
    written = script(text)
    return language(text) if written == "Latin" else written
