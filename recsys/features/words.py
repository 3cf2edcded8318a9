"""Cleans a text for the encoders: no markup and no hidden characters; used by both of them.

Catalogue texts are cleaned when they are read; a text that a person searches with comes as it is.
"""

import html
import re
import unicodedata

HIDDEN_BLOCKS = re.compile(r"<(script|style)\b[^<>]*>.*?</\1\s*>|<!--.*?-->", re.DOTALL | re.I)
TAGS = re.compile(r"</?[a-zA-Z][^<>]*>")
# Joiners hold emoji and Persian words together, but are nothing by themselves.
JOINERS = "\u200c\u200d"


def clean(text: str) -> str:
    """`text` in one line without tags, entities, control, bidirectional and zero-width characters.

    Letters of every script and emoji stay; empty where nothing visible is left.
    """
    if "<" in text:
        text = TAGS.sub(" ", HIDDEN_BLOCKS.sub(" ", text))
    if "&" in text:
        text = html.unescape(text)
    kept = "".join(_kept(character) for character in unicodedata.normalize("NFC", text))
    line = " ".join(kept.split())
    return line if line.strip(JOINERS + " ") else ""


def _kept(character: str) -> str:
    if character.isspace():
        return " "
    match unicodedata.category(character):
        case "Cc":
            return ""
        case "Cf":
            return character if character in JOINERS else ""
        case "Cs":  # half a pair: no tokenizer takes it
            return "\ufffd"
        case _:
            return character
