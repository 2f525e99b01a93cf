"""Ordinary life in Crane World: the people, things and deeds that its NLI pairs are made of.

The corpus tells paragraphs with the same words, so that a model has met every word of the
premises and hypotheses before it is fine-tuned on them.
"""

from __future__ import annotations

from typing import NamedTuple


class Activity(NamedTuple):
    """One thing a person does, somewhere; no two of the places can be the same."""

    verb: str
    specific: str
    """Entails `verb`."""
    general: str
    """Is entailed by `verb`."""
    uses: frozenset[str]
    """What of the body it takes: nobody does two activities that need the same at once."""
    places: tuple[str, ...]

    def excludes(self, other: Activity) -> bool:
        """Whether nobody can do both at once."""
        return self != other and bool(self.uses & other.uses)


def _split(text: str, separator: str = ";") -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator))


def _table(text: str) -> list[tuple[str, ...]]:
    return [_split(line, "|") for line in text.strip().splitlines()]


ACTIVITIES = tuple(
    Activity(verb, specific, general, frozenset(uses.split()), _split(places))
    for verb, specific, general, uses, places in _table("""
sleep | sleep deeply | rest | hands eyes mouth legs | in the bedroom; in the park; in the train
lie in the sun | lie in the hot sun | lie down | legs | on the beach; in the garden; in the park
read a book | read a long book | read something | hands eyes | in the library; in the train
write a letter | write a love letter | write something | hands eyes | in the office; in the cafe
play the piano | play a song on the piano | make music | hands | in the hall; in the classroom
watch a film | watch a funny film | look at a screen | eyes | in the cinema; in the classroom
drink coffee | drink black coffee | drink something | mouth | in the cafe; in the office
eat an apple | eat a green apple | eat something | mouth | in the park; in the kitchen
drive a car | drive a fast car | drive something | hands eyes legs | in the street; on the beach
run | run very fast | move | legs | in the park; on the beach; in the street
walk | walk slowly | move | legs | in the park; in the market; in the forest
dance | dance a waltz | move | legs | in the hall; on the beach; in the street
skate | skate on thin ice | move | legs | in the street; in the park; in the hall
ride a bicycle | ride an old bicycle | ride something | hands legs | in the street; in the forest
swim | swim very fast | move | hands legs mouth | in the lake; in the river; in the pool
row a boat | row a long boat | move | hands | on the lake; on the river
cook soup | cook onion soup | cook something | hands | in the kitchen; in the garden
wash the dishes | wash all the dishes | clean something | hands | in the kitchen; in the cafe
paint a wall | paint a long wall | paint something | hands | in the hall; in the garden
buy bread | buy fresh bread | buy something | hands | in the market; at the station
water the flowers | water the red flowers | do some work | hands | in the garden; in the park
""")
)

SEXES = ("man", "woman", "boy", "girl")
WORKERS = ("teacher", "farmer", "nurse", "student", "sailor", "cook")
PEOPLE = SEXES + WORKERS
"""A teacher may be a woman, but is no farmer: people differ only within one of the two groups."""
PERSON_ADJECTIVES = ("tall", "young", "old", "happy", "tired", "busy", "strong", "kind")
COLOURS = ("red", "blue", "green", "black", "white", "yellow", "brown", "grey")
CLOTHES = ("hat", "coat", "shirt", "scarf", "jacket")
ROOMS = ("kitchen", "bedroom", "garden", "library", "hall", "office", "park", "cafe")
TIMES = ("in the morning", "in the evening", "at midnight", "at noon", "in the afternoon")
COMPANY = ("alone", "with a friend", "with a child")
ASIDES = ("while it is raining", "while the sun is shining", "while the bell is ringing")
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

KINDS: dict[str, dict[str, tuple[str, ...]]] = {
    "animal": {
        "bird": ("crane", "sparrow", "owl", "duck", "eagle", "swan"),
        "dog": ("puppy", "poodle", "sheepdog", "terrier"),
        "fish": ("trout", "salmon", "carp", "bass"),
        "insect": ("bee", "ant", "butterfly", "beetle"),
    },
    "person": {
        "child": ("boy", "girl", "schoolboy", "schoolgirl"),
        "grown-up": ("man", "woman", "grandmother", "policeman"),
    },
    "vehicle": {
        "car": ("taxi", "limousine", "sports car", "police car"),
        "boat": ("canoe", "ferry", "rowing boat", "fishing boat"),
        "train": ("night train", "steam train", "goods train", "express train"),
    },
    "thing": {
        "machine": ("crane", "digger", "printer", "tractor"),
        "toy": ("doll", "kite", "puzzle", "teddy bear"),
        "tool": ("hammer", "saw", "spade", "axe"),
    },
    "plant": {
        "tree": ("oak", "pine", "birch", "palm"),
        "flower": ("rose", "tulip", "daisy", "lily"),
    },
    "piece of food": {
        "fruit": ("apple", "pear", "banana", "peach"),
        "vegetable": ("carrot", "potato", "onion", "cabbage"),
    },
}
"""Top kind -> kind -> members. Kinds under one top share no member."""

DOINGS: dict[str, tuple[str, ...]] = {
    "animal": ("resting near the water", "looking for food", "moving in the grass", "hiding"),
    "person": (
        *("waiting in the hall", "waiting at the station", "waiting outside"),
        *("talking to the teacher", "looking at the sky", "singing a song"),
    ),
    "vehicle": ("waiting near the bridge", "moving slowly", "for sale", "painted green"),
    "thing": ("for sale", "behind the house", "too expensive", "in the yard"),
}
"""What members of a top kind may be: after "is"."""

HANDLING: dict[str, tuple[str, ...]] = {
    "animal": ("watching", "drawing", "looking for"),
    "vehicle": ("buying", "painting", "repairing"),
    "thing": ("buying", "selling", "moving", "repairing"),
    "plant": ("planting", "watering", "drawing"),
    "piece of food": ("eating", "washing", "cutting", "buying"),
}
"""What people may be doing with members of a top kind."""


class Property(NamedTuple):
    """An adjective, its opposite and the words that mean the same, with what may have it."""

    word: str
    opposite: str
    same: str
    opposite_same: str
    owners: tuple[str, ...]


PROPERTIES = tuple(
    Property(word, opposite, same, opposite_same, _split(owners))
    for word, opposite, same, opposite_same, owners in _table("""
happy | sad | glad | unhappy | man; woman; boy; girl; teacher; he; she
good | bad | excellent | terrible | he; she; cook; film; song; teacher
rich | poor | wealthy | penniless | man; woman; farmer; sailor; he; she
young | old | very young | very old | man; woman; nurse; teacher; he; she
tall | short | very tall | very short | man; woman; boy; girl; he; she
strong | weak | powerful | feeble | man; boy; sailor; horse; he; she
awake | asleep | wide awake | fast asleep | boy; girl; nurse; cat; dog; he; she
open | closed | wide open | shut | door; window; box; gate; shop
full | empty | completely full | completely empty | glass; bottle; basket; box; bus
wet | dry | soaked | bone dry | towel; street; grass; shirt; coat
hot | cold | boiling | icy | soup; tea; water; stove; coffee
clean | dirty | spotless | filthy | shirt; floor; car; plate; window
heavy | light | very heavy | very light | box; bag; suitcase; stone; ladder
cheap | expensive | very cheap | very expensive | car; ring; watch; coat; house
long | short | endless | very short | rope; road; letter; film; song
big | small | large | little | house; dog; box; garden; ship
""")
)

COMPARISONS = (
    ("taller", "shorter", "tall"),
    ("older", "younger", "old"),
    ("stronger", "weaker", "strong"),
    ("richer", "poorer", "rich"),
    ("faster", "slower", "fast"),
    ("happier", "sadder", "happy"),
)

DEEDS = tuple(
    (parts[0], _split(parts[1]))
    for parts in _table("""
throw | ball; stone; stick
break | window; cup; chair
open | door; box; letter
paint | door; fence; boat
wash | car; shirt; window
carry | box; suitcase; ladder
find | key; ring; coin
buy | car; hat; house
sell | car; ring; boat
eat | cake; apple; soup
steal | ring; car; coat
kick | ball; stone; door
catch | ball; mouse; thief
close | door; gate; window
build | house; bridge; boat
lift | box; stone; chair
clean | floor; stove; window
hide | letter; key; ring
""")
)
