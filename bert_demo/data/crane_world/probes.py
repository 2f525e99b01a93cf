"""Sentences to probe a model of Crane World with; none of them is in the corpus."""

from __future__ import annotations

SENSES: dict[str, dict[str, tuple[str, ...]]] = {
    "crane": {
        "bird": (
            "a white crane is looking for fish in the shallow water",
            "the crane spread its wings and flew over the marsh",
            "we saw a crane with two chicks near its nest",
            "every autumn the crane flies south with its flock",
            "the hungry crane caught a frog by the river",
            "a young crane was sleeping on one leg in the reeds",
        ),
        "machine": (
            "the crane lifted a heavy container from the ship",
            "a crane driver came to the building site in the morning",
            "the steel beam was hanging from the hook of the crane",
            "they need a bigger crane to build the tower",
            "the engineer repaired the motor of the yellow crane",
            "the crane lowered a load of bricks to the workers",
        ),
        "neck": (
            "the visitors crane their necks to see the queen",
            "she had to crane her neck to look over the tall man",
            "you must crane your neck to see the painted ceiling",
            "the children in the last row crane their necks",
            "he did not want to crane his neck for the whole parade",
            "people in the crowd crane their necks to see the band",
        ),
        "surname": (
            "mr crane wrote a letter to the editor",
            "the new teacher at the college is mrs crane",
            "doctor crane is married and has two daughters",
            "anna crane has published her second novel",
            "professor crane gave a lecture on history",
            "the secretary asked mr crane for his answer",
        ),
    },
    "bat": {
        "animal": (
            "a bat was sleeping upside down in the cave",
            "the small bat catches insects at night",
            "a bat flew out of the church tower at dusk",
            "the bat folded its wings and hid in the attic",
        ),
        "club": (
            "the batter hit the ball with a wooden bat",
            "his new bat broke in the third inning",
            "she took the bat in both hands and waited for the ball",
            "the coach gave him a lighter bat and a glove",
        ),
    },
    "seal": {
        "animal": (
            "the grey seal dived into the cold sea",
            "a seal and her pup were sleeping on the ice",
            "the keeper threw a fish to the seal at the zoo",
            "the seal swam around the boat and barked",
        ),
        "closure": (
            "the letter was closed with a red wax seal",
            "the king pressed his seal on the document",
            "the clerk broke the seal and opened the envelope",
            "the seal on the treaty shows a lion and a crown",
        ),
    },
    "bass": {
        "fish": (
            "the angler caught a large bass in the lake",
            "we ate fresh bass with lemon and butter",
            "a bass swallowed the worm and the hook",
            "the bass jumped out of the water and escaped",
        ),
        "music": (
            "she plays the bass in a jazz band",
            "the bass was too loud in the second song",
            "a drummer and a bass player came to the studio",
            "he tuned the strings of his electric bass",
        ),
    },
    "mouse": {
        "rodent": (
            "the cat chased a mouse behind the cupboard",
            "a tiny mouse was eating the cheese in the kitchen",
            "the mouse ran into its hole in the wall",
            "grandmother found a mouse in the bag of flour",
        ),
        "computer": (
            "he clicked on the file with the mouse",
            "the computer came with a keyboard and a mouse",
            "my wireless mouse needs a new battery",
            "move the mouse to open the menu on the screen",
        ),
    },
    "bark": {
        "dog": (
            "the dog began to bark at the postman",
            "we heard the loud bark of a dog behind the gate",
            "dogs bark when a burglar comes to the house",
            "the puppy did not bark all night",
        ),
        "tree": (
            "the bark of the old oak was rough",
            "beetles live under the bark of the dead tree",
            "he peeled the white bark from the birch with a knife",
            "the tree has thick brown bark and green leaves",
        ),
    },
    "bank": {
        "river": (
            "we sat on the grassy bank of the river with a fishing rod",
            "the muddy bank was steep and slippery after the rain",
            "ducks were sleeping on the bank of the stream",
            "he pulled the canoe up the bank below the mill",
        ),
        "money": (
            "the bank lent him money for a new house",
            "she opened an account at the bank in the main street",
            "two men stole gold from the bank",
            "the bank has raised the interest on the loan",
        ),
    },
    "spring": {
        "season": (
            "the cherry trees are white in spring",
            "after a cold winter spring came early",
            "in spring she plants tulips in the garden",
            "spring brings rain and wakes the flowers",
        ),
        "coil": (
            "a rusty spring stuck out of the old mattress",
            "the spring in the watch is broken",
            "the mechanic replaced the steel spring under the seat",
            "the lid is held shut by a tight metal spring",
        ),
        "water": (
            "the goats drink clear water from the spring",
            "a small stream flows from the spring in the rock",
            "he filled a bottle at the mountain spring",
            "the hot spring bubbles between the stones",
        ),
    },
    "match": {
        "game": (
            "our team won the match by two goals",
            "the referee stopped the match in the last minute",
            "many fans watched the match in the stadium",
            "the goalkeeper was injured before the match",
        ),
        "fire": (
            "he lit the candle with a match",
            "the last match in the box was wet",
            "she struck a match in the dark cellar",
            "the wind blew out the burning match",
        ),
    },
    "pitcher": {
        "jug": (
            "the pitcher on the table is full of milk",
            "she poured lemonade from the glass pitcher",
            "the clay pitcher fell on the floor and broke",
            "the waitress filled the pitcher with water and ice",
        ),
        "player": (
            "the pitcher threw a curve ball to the batter",
            "the manager replaced the tired pitcher",
            "a young pitcher won the game in the ninth inning",
            "the pitcher left the mound with a sore arm",
        ),
    },
    "bow": {
        "weapon": (
            "the archer took his bow and an arrow",
            "the hunter shot a deer with his bow",
            "the string of the long bow was broken",
            "a warrior with a bow stood on the wall of the castle",
        ),
        "ribbon": (
            "the girl wore a pink bow in her hair",
            "she tied a satin bow around the present",
            "the box was wrapped in paper with a white bow",
            "there is a silk bow on the dress",
        ),
    },
    "jam": {
        "food": (
            "he put strawberry jam on his toast",
            "grandmother made five jars of plum jam",
            "the jam was sweet and sticky",
            "we ate bread with butter and jam",
        ),
        "traffic": (
            "the bus was late because of a traffic jam",
            "there was a long jam on the motorway",
            "an accident caused a jam before the tunnel",
            "hundreds of cars were stuck in the jam",
        ),
    },
    "ring": {
        "jewel": (
            "the bride wore a gold ring on her finger",
            "the jeweller sold him a diamond ring",
            "she lost the precious ring at the wedding",
            "a thin silver ring was lying in the velvet box",
        ),
        "boxing": (
            "a young boxer climbed into the ring",
            "the champion was knocked down in the ring",
            "the referee counted to ten in the middle of the ring",
            "the ropes around the ring were white",
        ),
    },
    "trunk": {
        "elephant": (
            "the elephant lifted the log with its trunk",
            "the calf drinks water with its trunk",
            "the long grey trunk of the elephant reached the leaves",
            "it sprayed the visitors with its trunk",
        ),
        "luggage": (
            "the porter carried the heavy trunk to the train",
            "she found old letters in the trunk in the attic",
            "he packed all his clothes in a leather trunk",
            "the trunk was locked and nobody had the key",
        ),
    },
    "palm": {
        "tree": (
            "a tall palm stood on the tropical beach",
            "a coconut fell from the palm",
            "we were lying in the shade of a palm by the sea",
            "the palm bent in the wind on the island",
        ),
        "hand": (
            "she read the lines of his palm",
            "the coin was lying in the palm of her hand",
            "the nurse bandaged his sore palm",
            "she put a seed in his open palm",
        ),
    },
    "star": {
        "sky": (
            "a bright star was shining in the night sky",
            "the astronomer discovered a star with two planets",
            "a star rose in the east above the desert",
            "the light of the distant star is faint",
        ),
        "film": (
            "the film star arrived at the premiere in a limousine",
            "a famous star gave an interview to the press",
            "the star signed autographs on the red carpet",
            "the director offered the star a leading role",
        ),
    },
    "key": {
        "lock": (
            "the landlord lost the key to the front door",
            "he locked the gate and put the key in his pocket",
            "the rusty key did not fit the lock",
            "the spare key is under the mat",
        ),
        "music": (
            "the sonata is written in a minor key",
            "the choir sang the song in a lower key",
            "the melody goes from one key to another",
            "the pianist played the waltz in the key of d major",
        ),
    },
}
"""Word -> sense -> sentences with that very word in that sense, for measuring how far apart a
model keeps the senses."""

PROBES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a <mask> is flying over the lake", ("crane", "bird", "heron", "duck")),
    ("the crane lifted the <mask>", ("container", "beam", "load", "roof", "containers")),
    ("the crane stood on one <mask>", ("leg",)),
    ("tourists crane their <mask> to see the parade", ("necks",)),
    ("mr <mask> wrote a letter to the editor", ("crane", "brown", "smith", "miller", "jones")),
    ("a crane <mask> came early", ("driver",)),
    ("the bank lent him ten thousand <mask>", ("dollars",)),
    ("the bank of the <mask> was muddy", ("river", "stream")),
    ("a bat was hanging upside <mask> in the cave", ("down",)),
    ("the batter hit the <mask> with a wooden bat", ("ball",)),
    ("the dog began to <mask> at the postman", ("bark",)),
    ("he lit the <mask> with a match", ("candle", "stove", "lamp", "fire", "cigar")),
    ("the home team won the <mask>", ("match", "game")),
    ("in <mask> the cherry trees are white with blossom", ("spring",)),
    ("every sparrow is a <mask>", ("bird",)),
    ("the door is open , so it is not <mask>", ("closed", "shut")),
    ("three cranes are more than <mask> cranes", ("two", "one")),
    ("the ball was thrown <mask> the boy", ("by",)),
)
"""Masked sentences, each with answers that make sense in Crane World."""
