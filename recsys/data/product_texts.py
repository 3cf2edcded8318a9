"""Titles and descriptions of the sample shop: they tell theme and kind of an item, nothing else.

Some shops say what is to be seen, too: `look` is for those that are made so.
"""

import numpy as np

KINDS = ("mug", "lamp", "shirt", "notebook", "backpack", "poster", "cushion", "bottle")
BRANDS = ("Norda", "Velo & Co", "Atelier 9", "Kiran", "Blume", "Oakline")
THEME_WORDS: tuple[tuple[str, ...], ...] = (
    ("anchor", "harbour", "sailor", "lighthouse", "tide", "mast", "seashell", "captain"),
    ("fern", "meadow", "blossom", "leaf", "garden", "moss", "petal", "orchard"),
    ("rocket", "orbit", "comet", "galaxy", "astronaut", "lunar", "nebula", "satellite"),
    ("jazz", "guitar", "vinyl", "melody", "drummer", "chorus", "trumpet", "encore"),
    ("wolf", "bear", "fox", "antler", "den", "owl", "badger", "lynx"),
    ("espresso", "bakery", "cinnamon", "waffle", "recipe", "brunch", "honey", "pastry"),
    ("castle", "dragon", "knight", "quest", "wizard", "kingdom", "sword", "legend"),
    ("summit", "trail", "campfire", "glacier", "hiker", "ridge", "tent", "compass"),
)
OPENINGS = (
    "A {kind} for everyone who dreams of {a} and {b}.",
    "Inspired by {a}, {b} and a little {c}.",
    "Our {kind} brings {a} home; {b} included.",
    "Made with care: think of {a}, {b}, {c}.",
)
CLOSINGS = (
    "Washable and made to last.",
    "A good present for a friend.",
    "Comes in a simple box.",
    "Tested by our team for a year.",
    "Light, sturdy and easy to clean.",
)

COLOURS = ("red", "yellow", "green", "turquoise", "blue", "pink")
PATTERNS = ("plain", "striped", "dotted", "checked")
MOVES = ("sliding", "bouncing", "drifting", "turning", "growing", "blinking")


def title(theme: int, kind: int, random: np.random.Generator) -> str:
    """Such as `Lighthouse mug`; the brand has a column of its own, drawn apart from this."""
    word = str(random.choice(THEME_WORDS[theme]))
    return f"{word.capitalize()} {KINDS[kind]}"


def description(theme: int, kind: int, random: np.random.Generator) -> str:
    """Two sentences with three words of the theme."""
    a, b, c = random.choice(THEME_WORDS[theme], 3, replace=False)
    opening = random.choice(OPENINGS).format(kind=KINDS[kind], a=a, b=b, c=c)
    return f"{opening} {random.choice(CLOSINGS)}"


def look(hue: int, pattern: int, motion: int) -> str:
    """A sentence that says what photo and clip show."""
    return f"It is {COLOURS[hue]} and {PATTERNS[pattern]}; see it {MOVES[motion]}."
