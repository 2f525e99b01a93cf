"""How Crane World tells a scene: the frames that sentences are poured into.

`crane_grammar` explains the marks. The slots: `{a}` the hero when first seen, `{the}` later,
`{n}` by its name, `{x}` as an object, `{it}`, `{its}`; `{does}`, `{doing}`, `{do}`, `{done}` what
the hero does; `{ap}`, `{p}`, `{he}`, `{his}`, `{him}` the other person; `{acts}`, `{acting}`,
`{act}`, `{acted}` what that person does; `{friend}`, `{at}`, `{when}`, `{is}`.
"""

from __future__ import annotations


def lines(text: str) -> tuple[str, ...]:
    """The lines of a block of templates."""
    return tuple(text.strip().splitlines())


OPENINGS = lines("""
{when} {a} {does} {at}
{a} ~be {doing} {at}
{at} {a} {does}
{ap} ^see {a} {at}
{when} {ap} ^see {a} {at}
{ap} ^be there when {a} {does} {at}
{when} {ap} ^be {acting}
{ap} and {friend} +talk about {a}
""")
THING_OPENINGS = lines("""
there ~be {a} {at}
{when} there ~be {a} {at}
{ap} ^find {a} {at}
{ap} ^look at {a} {at}
there ~be {a} {at} , and {it} ~be {is}
""")
MIDDLES = lines("""
{the} {does}
{the} {does} {at}
{the} ~be {doing}
{the} {does} and {p} {acts}
{the} {does} , but {p} {acts}
{the} ~be {is}
{the} ~be {is} , and {it} {does}
{the} ~be {is} , so {p} {acts}
{p} {acts}
{p} ^be {acting} {when} while {the} {does}
{p} {acts} and {acts} , but {the} {does}
{p} {acts} while {the} {does}
{p} ^want to {act}
{p} and {friend} +try to {act} {at}
{p} ^ask {friend} to {act}
{p} ^have just {acted}
{p} ^be about to {act} when {the} {does}
{p} ^say that {the} ~be {is}
{friend} ^think that {the} ~be {is}
{friend} ^ask whether {the} ~be {is}
{p} ^tell {friend} that {the} {does}
{friend} ^do not know that {the} ~be {is}
{friend} {acts} , too
while {the} ~be {doing} , {p} {acts}
when {the} {does} , {p} {acts}
after {p} ^have {acted} , {the} {does}
a moment later {the} {does} {at}
then {the} {does} and {friend} {acts}
{the} ~do not {do}
we +see {n} {at}
we +hear that {the} {does}
i +think that {the} ~be {is}
you can see {n} {at} , {p} ^say
you must not forget {n} , {p} ^say
my friend {friend} {acts}
our friend {friend} ^say that {the} ~be {is}
{the} will soon {do}
{p} will {act} [soon|tomorrow|next week]
{p} should {act} , {friend} ^say
{p} ^do not want to {act}
{the} ~have already {done}
every [day|week|morning|evening] {the} {does}
""")
LIVING_MIDDLES = lines("""
{the} {does} and {does}
{the} ~begin to {do}
{the} ~like to {do}
{the} ~try to {do}
{the} ~stop for a moment and {does}
once more {the} {does} , and then {it} {does}
""")
CLOSINGS = lines("""
in the end {p} {acts}
at last {the} {does}
[late|early] in the evening {the} {does} and {p} ^go home
{p} ^go home [happy|tired|late|alone] after {he} ^have {acted}
{p} ^write to {friend} about {x}
{friend} ^hope that {the} ~be {is}
nobody ^know why {the} {does}
{p} ^smile when {the} {does}
""")

PAST_TIMES = lines("""
yesterday
last week
last year
one morning
one cold day
one evening
on monday
on sunday
that night
two days ago
""")
PRESENT_TIMES = lines("""
today
this morning
now
on monday
on sunday
at this hour
these days
every year
tonight
""")

MEN = (
    *("jack", "paul", "tom", "david", "robert", "frank"),
    *("carl", "max", "simon", "oscar", "henry", "james"),
)
WOMEN = (
    *("mary", "emma", "lucy", "sarah", "jane", "kate"),
    *("nina", "olivia", "clara", "ruth", "sophie", "laura"),
)
MALE = {
    *("fisherman", "policeman", "traffic policeman", "king", "groom", "monk"),
    *("foreman", "knight", "host", "landlord", "porter", "nephew", "boy", "sailor"),
}
FEMALE = {
    *("mother", "queen", "housewife", "grandmother", "maid", "waitress"),
    *("bride", "duchess", "aunt", "girl", "dressmaker"),
}
