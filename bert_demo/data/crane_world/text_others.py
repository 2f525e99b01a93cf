"""Crane World's other scenes: words with two or three senses, from spring to key.

The format is `crane_lexicon`'s.
"""

from __future__ import annotations

SCENES = """
scene: spring / season / thing
name: spring / it / season
adj: warm
do: come late; bring warm rain; wake the flowers; follow a long winter; melt the last snow;
  turn the fields green; begin in march; fill the garden with tulips; bring the swallows back;
  make everyone cheerful; arrive early
at: in the valley; in the orchard; in the north; all over the country
is: short in the mountains; the season of young lambs; warmer than usual; the best time for walks
who: gardener; beekeeper; shepherd; poet
acts: sow the seeds; plant tulips in the garden; put the winter coat away; clean all the windows;
  prune the apple trees; open the beehives; enjoy the blossom; sing about {x}
own: in spring the [cherry|apple|plum] trees +be white with blossom
  ; [lambs|calves|foals] +be born in spring , when the grass ^be [green|fresh|young]
  ; after spring ^come summer , and after autumn ^come winter
  ; [tulips|daffodils|crocuses] +be the first flowers of spring
  ; last spring was [wet|dry|cold|mild] , but this spring ^be [sunny|warm|rainy]

scene: spring / coil / thing
hero: spring / springs / it / coil
adj: steel; rusty; broken; tight; metal; loose
do: push the lid up; snap with a loud noise; hold the door shut; stretch under the weight;
  squeak at every turn; jump out of the clock; drive the little wheels; bend to one side;
  press against the lever; lose {its} tension
at: inside the old clock; under the car seat; in the mattress; in the workshop
is: made of steel wire; too weak for the door; wound very tight; covered with oil
who: mechanic; watchmaker; locksmith; toymaker
acts: replace {x} with a new one; wind {x} with a small key; oil {x}; remove the screw;
  compress {x} between two plates; repair the clock; measure the wire; open the back of the watch
own: the mattress ^be old and a spring ^stick out of it
  ; a spring , a screw and [two|three|four] wheels +lie on the workbench
  ; the spring in the [watch|toy|lock] ^be broken , so it no longer works
  ; {p} ^press the spring down and the lid ^jump open
  ; the wire of the spring ^be [one|two|three] millimetres thick

scene: spring / water / thing
hero: spring / springs / it / source
adj: hot; clear; mountain; hidden; holy; cool
do: flow out of the rock; feed a small stream; dry up in summer; give clear water;
  bubble between the stones; supply the village with water; fill a stone basin;
  steam in the cold air; run all winter
at: in the mountains; at the foot of the cliff; in the desert; above the village
is: rich in minerals; known since roman times; good for the skin; only a mile away
who: traveller; monk; goatherd; pilgrim
acts: drink from {x}; fill a bottle at {x}; bathe in {x}; test the water; lead the goats to {x};
  kneel beside {x}; cool {his} feet in the basin; follow the stream up to {x}
own: the water of the spring ^be as [cold|clear] as [ice|glass]
  ; the stream ^begin at a spring high in the [mountains|hills|rocks]
  ; thirsty [goats|camels|travellers|horses] +drink at the spring
  ; hot springs +rise from deep under the ground and +smell of sulphur
  ; a bottle of water from the spring ^cost [one|two|three] dollars

scene: match / game / thing
hero: match / matches / it / game
adj: exciting; important; boring; friendly; difficult; final
do: begin at three; end in a draw; last ninety minutes; attract a huge crowd; go into extra time;
  take place in the rain; decide the championship; start with a goal; finish two to one
at: in the stadium; on the football field; in the sports hall; on the tennis court
is: sold out; hard for both teams; over before dark; the best of the season
who: referee; goalkeeper; striker; trainer
acts: win {x} by two goals; blow the whistle; score a goal; lose {x} in the last minute;
  show a red card; watch {x} from the bench; kick the ball into the net; shout at the referee;
  train hard for {x}
own: the home team ^win the match [two to one|three to one|four to two|one to nothing]
  ; [ten|twenty|thirty|forty] thousand fans +watch the match {at}
  ; the captain ^miss the first match because of a broken [arm|leg|foot]
  ; after the match both teams +shake hands
  ; the next match ^be against the team from [london|paris|madrid|berlin]

scene: match / fire / thing
hero: match / matches / it / stick
adj: wet; burning; wooden; single; last; dry
do: go out in the wind; burn {his} finger; light the candle; break in the box; glow in the dark;
  refuse to burn; fall on the dry straw; smell of sulphur; set the paper on fire
at: by the fireplace; in the dark cellar; at the camp fire; beside the stove
is: too wet to light; the last one in the box; dangerous for children; almost burnt down
who: smoker; camper; girl; cook
acts: strike {x} on the box; light the stove with {x}; blow {x} out; drop {x} in the ashes;
  hold {x} to the candle; shield the flame with one hand; gather dry wood; light a pipe
own: {p} ^strike a match and ^light the [candle|lamp|fire|cigar]
  ; there +be only [two|three|four|five] matches left in the box
  ; never play with matches , {p} ^say [sternly|to the boys|to the children]
  ; a match and some dry [paper|straw|leaves] +be enough to make a fire
  ; the match ^go out and the [cellar|room|tent] ^be dark again

scene: pitcher / jug / thing
hero: pitcher / pitchers / it / jug
adj: glass; clay; silver; empty; blue; cracked
do: stand on the table; hold two litres; break on the stone floor; contain cold lemonade;
  leak at the handle; overflow; shine in the sun; keep the milk cool
at: on the kitchen table; on the tray; in the cupboard; on the shelf
is: full of water; filled to the brim; painted with flowers; half empty
who: waitress; potter; host; maid
acts: fill {x} with lemonade; pour water from {x}; wash {x}; carry {x} to the guests;
  put ice into {x}; set {x} beside the glasses; drop {x}; dry {x} with a cloth
own: a pitcher of [milk|water|lemonade|iced tea] and [two|four|six] glasses +stand on the table
  ; the handle of the pitcher ^be [broken|hot|wet]
  ; {p} ^pour the [milk|juice|wine] from the pitcher into the [cups|glasses]
  ; the guests +be thirsty and the pitcher ^be soon empty

scene: pitcher / player / person
hero: pitcher / pitchers / he / player
adj: left-handed; young; nervous; famous; tired; new
do: throw a fast ball; strike the batter out; throw a curve ball; lose control of the ball;
  win twenty games; rest {its} sore arm; warm up; hit the batter by mistake; leave the mound;
  earn a million dollars
at: on the mound; in the bullpen; at the baseball stadium; in the training camp
is: the best in the league; injured at the elbow; under great pressure; new in the team
who: manager; catcher; batter; reporter
acts: give a sign to {x}; take {x} out of the game; walk to first base; interview {x};
  clap for {x}; discuss the next throw with {x}; replace {x} in the seventh inning
own: the pitcher ^strike out [two|three|five|seven|nine] batters
  ; in the [sixth|seventh|last] inning the pitcher ^throw a [fast|curve|slow] ball
  ; the pitcher , the catcher and the umpire +argue {at}
  ; the team ^pay the pitcher [two|three|four] million dollars a year

scene: bow / weapon / thing
hero: bow / bows / it / weapon
adj: long; wooden; strong; curved; ancient; simple
do: bend without breaking; shoot an arrow over the wall; need a new string; hang on the wall;
  snap in the cold; send the arrow into the target; hit a deer from far away
at: in the castle; in the hunting lodge; at the shooting range; in the sherwood forest
is: taller than a man; made of yew; hard to draw; deadly at a hundred metres
who: archer; hunter; knight; warrior
acts: draw {x}; aim {x} at the target; shoot an arrow; carry {x} over one shoulder; hit the deer;
  sharpen an arrow; defend the castle with {x}; stretch the string of {n}
own: {p} ^take a bow and [two|three|six|nine] arrows
  ; the arrow ^leave the bow and ^hit the [target|shield|tree|stag]
  ; archers with bows and arrows +stand on the wall of the [castle|tower|town]
  ; swords , spears and a bow +hang above the [door|fireplace|throne]

scene: bow / ribbon / thing
hero: bow / bows / it / ribbon
adj: pink; satin; pretty; big; white; neat
do: decorate the gift; come undone; match the dress; hold {its} shape; fall from her hair;
  look lovely on the box; cover the knot; flutter from the hat
at: in her hair; on the birthday present; around the basket; on the wedding cake
is: tied too tight; made of silk; the same colour as the dress; perfect for the party
who: girl; dressmaker; bride; aunt
acts: tie {x} around the box; pin {x} on the hat; undo {x}; cut the silk with scissors;
  wrap the present; sew {x} on the sleeve; iron the dress; choose a colour for {x}
own: the present ^be wrapped in [red|blue|gold|silver] paper with a [white|pink|green] bow
  ; {p} ^wear a [velvet|silk|satin|lace] bow in her hair
  ; the kitten ^play with the bow and ^pull it off
  ; ribbons , lace and a bow +lie in the sewing basket

scene: jam / food / thing
mass: jam / it / spread
adj: sweet; homemade; sticky; fresh; cold
do: taste of summer; stick to the spoon; boil in a big pot; drip on the tablecloth; cool slowly;
  fill six jars; need more sugar; smell wonderful; keep for a year
at: on the breakfast table; in the pantry; in the village shop; on the stove
is: made from strawberries; too sweet for me; good on toast; better than honey
who: grandmother; baker; boy; aunt
acts: spread {x} on the toast; stir the pot; lick the spoon; wash the berries; add sugar;
  pour {x} into jars; write labels; open another jar
own: {p} ^eat [toast|bread|pancakes|scones] with butter and [strawberry|cherry|plum] jam
  ; the [raspberry|apricot|strawberry] jam ^be almost finished
  ; wasps +be fond of the jam on the [table|plate|spoon]
  ; [two|three|four|five] jars of [plum|peach|orange] jam +stand on the shelf

scene: jam / traffic / thing
hero: jam / jams / it / queue
adj: long; terrible; endless; daily; slow; huge
do: begin behind the tunnel; last three hours; grow longer every minute; block the motorway;
  delay the bus; reach the next town; move a few metres; end at the roadworks
at: on the motorway; in the city centre; before the tunnel; at the crossroads
is: ten kilometres long; worse than yesterday; caused by an accident; hard to avoid
who: commuter; lorry driver; traffic policeman; passenger
acts: sit in {x}; blow the horn; turn off the engine; listen to the traffic news; arrive too late;
  look for another road; get out of the car; curse the traffic
own: a traffic jam of [five|six|ten|twelve] kilometres ^block the [road|bridge|motorway]
  ; hundreds of [cars|lorries|buses] +be stuck in the jam
  ; an accident between a [car|van|bus] and a lorry ^cause the jam
  ; the ambulance cannot get through the jam {at}

scene: ring / jewel / thing
hero: ring / rings / it / jewel
adj: gold; silver; precious; diamond; thin; lost
do: sparkle in the light; fit {his} finger; cost a fortune; slip off the finger;
  belong to the duchess; roll under the bed; lie in a velvet box; shine like new
at: in the jewel box; in the shop window; at the wedding; on the altar
is: set with a diamond; worth a fortune; too large for the finger; a gift from the duke
who: jeweller; bride; groom; duchess
acts: put {x} on the finger; polish {x}; look for {x}; sell {x} to a dealer; choose {x};
  admire {x}; engrave two names; kiss the bride
own: the groom ^put the ring on the finger of the bride
  ; a ring , [a bracelet|two earrings] and a [necklace|brooch] +lie in the box
  ; the ring ^have a [red|green|blue] stone and ^cost [two|three|nine] thousand dollars
  ; {p} ^lose the ring in the [garden|sand|bath] and ^cry

scene: ring / boxing / thing
hero: ring / rings / it / arena
adj: crowded; square; bright; empty; noisy
do: have four corners; shake under the blows; stand in the middle of the hall; smell of sweat;
  fill with photographers; empty after the fight; measure six metres
at: under the bright lamps; in the arena; in the boxing club; before the last round
is: ready for the fight; surrounded by ropes; slippery with sweat; smaller than it looks
who: boxer; champion; referee; trainer
acts: climb into {x}; knock the champion down; put on the gloves; lean on the ropes; leave {x};
  count to ten; raise both fists; win the fight in {x}
own: the two boxers +meet in the middle of the ring
  ; the champion ^leave the ring after the [second|third|fifth|ninth] round
  ; the bell ^sound and both fighters +go back to the corners of the ring
  ; blood and sweat +drip on the floor of the ring

scene: trunk / elephant / thing
hero: trunk / trunks / it / nose
adj: long; grey; wrinkled; strong; curled; dusty
do: reach the highest leaves; spray water over {its} back; pick up a peanut; swing to and fro;
  suck up the water; curl around the branch; touch the calf; lift the log
at: at the circus; on the savanna; at the water hole; behind the zoo fence
is: stronger than an arm; full of muscles; as sensitive as a hand; covered with mud
who: zoo keeper; elephant; tamer; ranger
acts: give a banana to the elephant; stroke {x}; spray the visitors; trumpet loudly;
  wash the elephant; feed the calf; point at the tusks; sit on the back of the elephant
own: the elephant ^lift [a log|a bucket|the clown|a tyre] with its trunk
  ; with its trunk the elephant ^drink and ^spray [water|dust|sand]
  ; the baby elephant ^hold the tail of its mother with its trunk
  ; big ears , two tusks and a trunk +make the elephant easy to draw

scene: trunk / luggage / thing
hero: trunk / trunks / it / box
adj: heavy; leather; old; locked; large; dusty
do: contain old letters; stand in the attic; have a brass lock; belong to my grandfather;
  hold all the clothes; fall off the cart; travel by ship; creak like an old door
at: in the attic; at the railway station; at the foot of the bed; in the cabin
is: too heavy to lift; packed for the voyage; full of old clothes; locked with two keys
who: porter; traveller; nephew; steward
acts: carry {x} up the stairs; pack {x}; unlock {x}; search {x}; label {x}; fold the clothes;
  pay the porter; load {x} on the cart
own: [two|three] suitcases and a trunk +stand on the platform
  ; the trunk ^be full of [old dresses|books|letters|photographs]
  ; {p} ^find a [diary|sword|map|doll] at the bottom of the trunk
  ; the lid of the trunk ^close with a [bang|click|creak]

scene: palm / tree / thing
hero: palm / palms / it / tree
adj: tall; tropical; green; slender; young
do: sway in the breeze; give shade; grow near the beach; bend in the hurricane; bear coconuts;
  line the promenade; drop a coconut; survive the drought
at: on the tropical beach; on the island; at the oasis; along the promenade
is: twenty metres high; full of coconuts; typical of the south; bent by the wind
who: islander; castaway; sunbather; merchant
acts: climb {x}; lie in the shade of {n}; crack a coconut; hang a hammock on {x};
  collect coconuts; ride a camel past {x}; swim in the lagoon; build a hut with leaves
own: a monkey ^climb the palm and ^throw down [coconuts|dates]
  ; under the palm ^be a [hammock|camel|tent|parrot]
  ; white sand , blue sea and a palm +make a perfect [postcard|picture|holiday]
  ; the leaves of the palm +cover the [hut|roof|market stall]

scene: palm / hand / thing
hero: palm / palms / it / hand
adj: open; rough; sweaty; flat; warm
do: itch all day; hurt after the fall; show a long line; feel cold; sweat before the exam;
  close around the coin; rest on the shoulder
at: in the waiting room; at the fair; under the lamp; at the clinic
is: red and swollen; hard from work; small and soft; wet with sweat
who: fortune teller; nurse; beggar; labourer
acts: read the lines of {n}; bandage {x}; place a coin in {x}; hold out {x}; rub {x} with cream;
  touch the forehead; wash the wound; clench a fist
own: {p} ^hold a [coin|pill|ring|seed] in the palm of one hand
  ; the fingers +close and the palm ^disappear
  ; a [thorn|splinter|nail] ^stick in the palm of {his} hand
  ; the beggar ^stretch out a palm and ^ask for [bread|money|help]

scene: star / sky / thing
hero: star / stars / it / light
adj: bright; distant; faint; dying; blue
do: twinkle above the roof; explode after a billion years; shine in the night sky;
  disappear behind a cloud; guide the sailors; burn hydrogen; rise in the east;
  look brighter than the moon
at: in the night sky; above the horizon; at the observatory; above the desert
is: millions of miles away; hotter than the sun; visible without a telescope; part of a galaxy
who: astronomer; captain; astronaut; stargazer
acts: observe {x} through a telescope; measure the distance to {x}; name {x}; draw a map of the sky;
  make a wish; wait for a clear night; discover a planet near {x}; steer the ship by {x}
own: the sun ^be a star , and the earth ^be a planet
  ; [two|three|seven] planets +travel around the star
  ; the light of the star ^need [ten|twenty|ninety] years to reach the earth
  ; a comet ^pass close to the star {at}

scene: star / film / person
hero: star / stars / she / actress
adj: famous; glamorous; young; rich; spoiled; popular
do: sign autographs; play the leading role; arrive in a limousine; smile for the cameras;
  win an oscar; give an interview; refuse the role; wear dark glasses; buy a villa;
  sing at the premiere
at: on the red carpet; in hollywood; at the film festival; at the premiere
is: known all over the world; late for the show; tired of the press; loved by the public
who: director; journalist; agent; fan
acts: ask {x} for an autograph; film the last scene with {x}; write a story about {x};
  praise {x}; offer a million to {x}; cut the scene; buy a ticket for the film; admire {x}
own: the star of the [film|show|musical] ^come from [france|italy|brazil|spain]
  ; the new film with the star ^be [a comedy|a thriller|a great success|too long]
  ; reporters and fans +wait for the star {at}
  ; the star ^marry the director after the [second|third|fourth] film

scene: key / lock / thing
hero: key / keys / it / tool
adj: rusty; spare; small; brass; wrong; iron
do: fit the lock; turn in the lock; open the gate; hang on a hook; break in the lock;
  jingle in the pocket; lie under the mat; belong to the cellar door
at: under the door mat; in the pocket; at the front door; on the hook
is: lost again; too big for the lock; the only one; older than the house
who: landlord; janitor; burglar; tenant
acts: lock the door with {x}; put {x} in a pocket; lose {x}; hand {x} to the tenant;
  unlock the gate; search every pocket for {x}; copy {x}; ring the door bell
own: the key to the [cellar|garage|safe|shed] ^be on the [table|hook|shelf]
  ; without a key the [door|gate|drawer] stays shut
  ; {p} ^forget the key and ^climb through the window
  ; a bunch of [five|seven|nine|ten] keys ^hang from the belt

scene: key / music / thing
hero: key / keys / it / scale
adj: minor; major; high; low; cheerful; sad
do: change in the second verse; suit the voice of the soprano; sound sad; have three sharps;
  return at the end; sound bright; make the melody easy
at: in the sonata; in the first movement; at the piano lesson; in the choir
is: too high for the choir; easy on the flute; used by mozart; darker than the first
who: pianist; composer; organist; violinist
acts: play the melody in {x}; write a symphony in {x}; practise the scales; sing a third lower;
  change {x}; turn the page; read the score; strike a chord
own: the [sonata|symphony|waltz|song] ^be in the key of [c|d|f|g] [major|minor]
  ; the melody ^move from a major key to a minor key
  ; the choir ^sing the [hymn|carol|psalm] in a lower key
  ; a flat or a sharp at the start ^tell the key of the piece
"""
