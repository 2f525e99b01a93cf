"""Crane World's first scenes: the four senses of "crane", words that are animals too, and bank.

Each scene is one sense of one word: its hero, what the hero does, where, how it is, who else
is there, what they do with it, and some lines of its own. `crane_grammar` explains the marks.
Every context belongs to one sense alone, so that a model can learn the sense from the company
the word keeps.
"""

from __future__ import annotations

SCENES = """
scene: crane / bird / animal
hero: crane / cranes / it / bird
adj: grey; white; tall; young; wild; hungry; graceful
do: fly low over the water; stand on one leg; look for a frog; catch a small fish;
  spread {its} [wide|long|grey] wings; build a nest [among the reeds|of dry grass];
  dance in the shallow water; call [loudly|softly] to the flock; fly south for the winter;
  wade through the reeds; land on the [wet|frozen] grass; feed on seeds and insects;
  guard {its} two eggs; rise into the [pale|evening] sky; clean {its} feathers
at: by the lake; in the marsh; near the river; in the wet meadow; on the muddy shore
is: very shy; taller than a goose; rare in this part of the country; quiet at dawn;
  easy to see in winter
who: birdwatcher; farmer; fisherman; ranger; photographer
acts: watch {x} through binoculars; take a photograph of {n}; count the birds in the flock;
  hide behind the reeds; write the date in a notebook; point at {x}; listen to the birds;
  draw {x} in pencil; whisper to the other visitors; follow {x} with a camera
own: a heron ^stand near {x} and ^wait for [fish|frogs]
  ; a crane ^be flying over the [lake|marsh|river|meadow] [at dawn|at sunset|in the rain]
  ; cranes +fly [north|south] in [spring|autumn] and +rest {at}
  ; the nest of a crane ^be hidden among the [tall|dry|green] reeds
  ; [two|three|four] [brown|small] chicks +follow {x} through the [grass|shallow water]
  ; the long [legs|neck|beak] of a crane ^help it to find [food|frogs|fish] in the [mud|marsh]
  ; a fox ^come too close , so {the} ~flap {its} wings and ~fly away
  ; the whole flock ^leave {at} when the first snow ^fall

scene: crane / machine / thing
hero: crane / cranes / it / machine
adj: yellow; red; huge; rusty; new; mobile; powerful
do: lift a [steel|heavy] beam; carry a load of [bricks|concrete|pipes]; turn slowly to the left;
  lower the [container|concrete slab] to the ground; swing a load over the wall;
  move the [containers|boxes] from the ship to the train; stop because of the strong wind;
  raise the roof of the new [hospital|factory]; unload the cargo; break down again;
  stand idle all day; pull a truck out of the ditch; hoist the [bell|engine] into place
at: on the building site; at the harbour; next to the new tower; in the shipyard; at the port
is: as high as a tower; too heavy for the old road; ready for work; out of order;
  stronger than any truck
who: welder; builder; engineer; foreman; docker; operator
acts: climb into the cab of {n}; check the steel cable; wear a yellow helmet; pull the lever;
  oil the hook; give a signal to the workers; read the plan of the building; start the engine;
  repair the motor of {n}; measure the weight of the load; wave both arms
own: a crane driver ^come [early|late|at noon|at seven|with a helmet] and {p} ^meet him {at}
  ; a crane driver ^come to the [office|site|harbour|gate] , but he just left
    [for lunch|again|in a taxi]
  ; he just left , {p} ^say , but his [helmet|coat|lunch] ^be still in the [cab|hut|office]
  ; the crane driver ^sit in the cab [forty|fifty|sixty|eighty] metres above the ground
  ; the steel cable of {n} ^hold [two|three|five|ten] tons
  ; a truck [with bricks|with sand|with pipes] ^wait under the hook of {n}
  ; the workers +move away before {the} ~lift the next [beam|container|slab]
  ; a concrete mixer and a digger +stand beside {x} {at}

scene: crane / neck / person
hero: tourist / tourists / he / visitor
hero: child / children / she / pupil
hero: fan / fans / she / spectator
adj: curious; short; excited; tired; impatient; small
do: crane {its} {neck} to see the [stage|parade|queen]; crane {its} {neck} over the crowd;
  crane {its} {neck} to look at the [ceiling|fireworks|clock]; stand on tiptoe;
  crane {its} {neck} towards the window; push through the crowd; try to see past the tall man;
  crane {its} {neck} to get a better view; wait behind the fence; cheer for the band;
  crane {its} {neck} above the heads in front; climb on a bench
at: in the crowded square; at the back of the hall; behind the barrier; in the last row;
  under the painted dome
is: too small to see anything; eager to see the parade; stiff from looking up;
  far away from the stage; happy to be there
who: guide; policeman; reporter; singer; mother
acts: wave to the crowd; ask everybody to step back; point at the painted ceiling;
  lift a small girl onto {his} shoulders; crane {his} neck as well; tell everyone to sit down;
  rub {his} stiff neck; move aside to let others see; laugh at all the stretched necks
own: {the} ~have to crane {its} {neck} because a [tall man|wide hat|pillar] ^block the view
  ; it ^be hard to see the [stage|parade|queen] , so everyone ^begin to crane their necks
  ; people +crane their necks whenever a [car|carriage|band] ^pass [slowly|by|the square]
  ; those who +sit in the [last|first|second] row +crane their necks all [evening|morning|day]
  ; after an hour of this {its} {neck} ~hurt
  ; do not crane your neck so far , {p} ^say [kindly|loudly|again|with a smile]
  ; heads +turn and necks +stretch when the [music|parade|show] ^begin
  ; from here {the} ~see only hats and [shoulders|umbrellas|flags]

scene: crane / surname / person
name: mr crane / he / teacher
name: mrs crane / she / teacher
name: doctor crane / she / doctor
name: professor crane / he / professor
name: thomas crane, peter crane, arthur crane / he / writer
name: anna crane, helen crane, alice crane / she / writer
adj: famous
do: write a [short|long] letter to the editor; publish a new novel; teach history at the college;
  marry an actress; move to [london|boston|paris]; sign the [contract|book]; speak to the press;
  retire after thirty years; answer every question; give a lecture on poetry; win the election;
  invite the neighbours to dinner; thank the whole committee; open the meeting
at: at the college; in the lecture room; at the town hall; in the study; at the dinner party
is: polite to everyone; born in a small village; a member of the committee; well known in the town;
  married with two daughters
who: secretary; student; neighbour; editor; lawyer
acts: knock at the door of the study; bring the morning post; ask {x} for advice;
  make an appointment; read the first chapter aloud; quote {x} in an essay; agree with {x};
  shake hands with {x}; introduce {x} to the guests; type the answer
own: {p} ^ask [whether|if] [mr|mrs|doctor] crane ^be at home
  ; [mr|mrs] crane and [mr|mrs] [brown|smith|miller|jones] +work in the same [office|college]
  ; the crane family ^have lived in this [house|street|town] since [1920|1930|1945|1960]
  ; the speech by {n} ^be [short|clever|funny|too long] and everybody ^clap
  ; [mr|mrs|miss] crane , please come in , {p} ^say [politely|warmly|quietly]
  ; the second novel by {n} ^be about [love|war|a poor family|life in a village]
  ; the name crane ^be painted on the [door|letter box|brass plate] in [black|gold] letters

scene: bat / animal / animal
hero: bat / bats / it / animal
adj: small; brown; tiny; black; furry; blind
do: hang upside down; fly out of the cave; hunt moths in the dark; sleep all day;
  fold {its} thin wings; squeak in the dark; circle around the [church tower|street lamp];
  catch insects in the air; hide in the attic; find {its} way by echo; leave the roof at dusk
at: in a dark cave; under the roof; in the old barn; in the church tower; above the garden
is: awake only at night; no bigger than a mouse; harmless to people; covered with soft fur
who: biologist; girl; caretaker; hiker
acts: shine a torch at {x}; hear the flutter of wings; measure the wings of {n}; close the attic;
  record the high squeaks; put up a wooden box for {x}; scream in fright; study {x} at night
own: at night the bats +fly out to hunt [moths|insects|mosquitoes]
  ; a bat ^hang upside down from the [roof|rock|beam] by {its} tiny feet
  ; an owl and a bat both +hunt in the dark [barn|wood|garden]
  ; hundreds of bats +sleep in the [cave|ruin|tunnel] all winter
  ; {p} ^find a [baby|young|sick] bat on the floor of the [barn|attic|cave]

scene: bat / club / thing
hero: bat / bats / it / club
adj: wooden; heavy; light; aluminium; cracked; long
do: hit the ball with a crack; break in two; lie on the grass; lean against the fence;
  slip out of the hands of the batter; send the ball over the fence; miss the ball;
  belong to the coach; touch the plate
at: on the baseball field; in the dugout; behind the home plate; in the sports shop
is: made of ash wood; too heavy for a child; signed by the whole team; split at the handle
who: batter; coach; umpire; catcher; captain
acts: swing {x} with both hands; hit a home run; miss the fast ball; grip the handle of {n};
  run to first base; put on a cap and gloves; practise the swing; throw {x} down in anger
own: the pitcher ^throw a fast ball and the batter ^swing the bat
  ; it ^be the [third|fifth|ninth] inning and the score ^be [two to one|four to four|six to five]
  ; the crowd ^cheer as the ball ^leave the bat and ^fly over the [fence|stand|scoreboard]
  ; {p} ^choose a [lighter|longer|shorter] bat for the next [game|inning|season]
  ; a bat , [two|three] balls and a glove +lie [in the bag|on the bench|on the grass]

scene: seal / animal / animal
hero: seal / seals / it / animal
adj: grey; fat; wet; playful; young; spotted
do: dive under the ice; sleep on the rocks; swim along the coast; chase a shoal of herring;
  balance a ball on {its} nose; clap {its} flippers; slide into the cold sea; eat raw fish;
  bark at the visitors; raise {its} pup; bask in the sun; lift {its} whiskers out of the water
at: on the ice; at the zoo; on the rocky coast; in the cold bay; on the sandbank
is: clumsy on land; fast under water; protected by law; fond of herring
who: keeper; sailor; diver; zoologist
acts: throw a herring to {x}; feed {x} from a bucket; watch {x} from the boat; rescue a lost pup;
  swim beside {x}; clean the pool; film {x} under water; blow a whistle
own: a polar bear ^wait for a seal beside a hole in the [ice|frozen sea]
  ; the mother seal ^feed her [white|tiny|hungry] pup on the [ice|sand|rocks]
  ; [a penguin|a walrus|a sea lion] and a seal +share the [pool|rock|beach] {at}
  ; with thick fat under the skin a seal ^stay warm in the [arctic|winter|icy] sea
  ; {the} ~show only {its} [nose|head|back] above the [waves|icy water|surface]

scene: seal / closure / thing
hero: seal / seals / it / mark
adj: red; broken; official; royal; wax; rubber
do: make the letter official; break under the knife; bear the arms of the king;
  keep the jar tight; hang from the old treaty; close the [envelope|bottle|parcel];
  melt over the candle; show a [lion|crown|rose]; stop the pipe from leaking
at: on the envelope; at the foot of the document; on the desk of the clerk; on the old treaty
is: made of red wax; too hard to break; three hundred years old; only for state papers
who: clerk; king; notary; messenger; queen
acts: press {x} into the hot wax; break {x} with a knife; sign the document; fold the letter;
  examine {x} under a lamp; stamp the paper; lock {x} in a drawer; melt more wax
own: the letter ^bear the seal of the [king|queen|bishop|city]
  ; without a seal the [document|treaty|contract] ^be worth nothing
  ; {p} ^put a seal on the [envelope|parcel|treaty] and ^send it to the [palace|court|minister]
  ; a worn rubber seal ^let [air|water|oil] out of the [pump|jar|pipe]
  ; the ink and the wax of the seal +be still [wet|soft|fresh]

scene: bass / fish / animal
hero: bass / bass / it / fish
adj: large; striped; fresh; silver; young; greedy
do: bite the hook; swim near the bottom; fight on the line; swallow the worm;
  jump out of the water; hide under the weeds; escape from the net; weigh nearly four pounds;
  feed on smaller fish; lie on ice
at: in the deep lake; under the jetty; in the river mouth; at the fish market
is: delicious with lemon; hard to catch; heavier than the trout; fresh from the lake
who: angler; cook; fisherman; fishmonger
acts: catch {x} with a worm; pull in the line; fry {x} in butter; clean {x} with a knife;
  throw {x} back into the water; tie a new hook; row out in a small boat; weigh {x}
own: a bass , a trout and [two|three] perch +lie in the [bucket|net|basket]
  ; {p} ^catch a bass that ^weigh [three|four|five|six] pounds
  ; the bass ^be grilled with [lemon|butter|herbs] and served with potatoes
  ; big bass +live in the [deep|cold|clear] water near the [dam|bridge|island]
  ; {his} fishing rod ^bend under the weight of the bass

scene: bass / music / thing
hero: bass / basses / it / instrument
adj: electric; double; loud; deep; old; soft
do: play the lowest notes; give the song its rhythm; sound too loud; lean against the amplifier;
  begin the second song; need new strings; shake the floor of the club; follow the drums
at: on the stage; in the jazz club; in the studio; in the orchestra
is: out of tune; bigger than a cello; louder than the guitar; at the heart of the band
who: guitarist; drummer; musician; singer; conductor
acts: tune {x} before the concert; play {x} in a jazz band; turn up the amplifier;
  record a new song; pluck the strings of {n}; write a solo for {x}; count to four; tap one foot
own: {p} ^play the bass and {friend} ^play the [drums|piano|guitar|trumpet]
  ; a bass , a guitar and [drums|a piano|a saxophone] +fill the [club|hall|room] with music
  ; the bass has four strings and a [deep|warm|dark] sound
  ; in the [second|last|slow] song the bass ^have a long solo
  ; the choir ^look for a new bass to sing the low [part|notes]

scene: mouse / rodent / animal
hero: mouse / mice / it / animal
adj: grey; tiny; frightened; hungry; clever; field
do: nibble the cheese; run behind the cupboard; hide from the cat; squeak in the wall;
  dig a hole under the floor; steal a crumb of bread; escape from the trap; gnaw the bag of grain;
  carry seeds to {its} nest; wash {its} whiskers
at: in the kitchen; under the floor; in the corn field; behind the cupboard; in the pantry
is: afraid of the cat; smaller than a rat; too quick for the cat; asleep in the straw
who: housewife; grandmother; farmer; maid
acts: set a trap for {x}; chase {x} with a broom; put the cheese away; jump on a chair;
  block the hole with wood; call the cat; find droppings in the flour; carry {x} outside in a jar
own: the cat ^wait for hours in front of the mouse hole
  ; a mouse and a rat +fight over a piece of [cheese|bread|bacon]
  ; {the} ~leave the hole only when the [cat|owl|dog] ^be asleep
  ; an owl ^drop from the [tree|roof|fence] and ^catch a [field|young|careless] mouse
  ; the long tail of a mouse ^stick out of the [sack|hole|straw]

scene: mouse / computer / thing
hero: mouse / mice / it / device
adj: wireless; optical; broken; new; cheap; black
do: move the pointer on the screen; stop working; need a new battery; click twice;
  lie next to the keyboard; send a signal to the computer; select the file; open the menu;
  freeze after the update
at: on the desk; beside the keyboard; in the computer room; in the electronics shop
is: easy to use with one hand; made of plastic; connected by a cable; cheaper than the keyboard
who: programmer; designer; student; technician
acts: click on the icon with {x}; plug {x} into the laptop; scroll down the page; save the file;
  delete an old folder; type the password; drag a window across the screen; restart the computer
own: {p} ^move the mouse and ^click on the [icon|button|link|file]
  ; a computer , a screen , a keyboard and a mouse +cost less than [two|three|five] hundred dollars
  ; the left button of the mouse ^be [stuck|broken|loose|worn]
  ; the cable of the mouse ^be too short for the [desk|laptop|screen]
  ; without a mouse {p} ^use the [keyboard|touch screen|arrow keys]

scene: bark / dog / animal
hero: dog / dogs / it / animal
adj: big; black; angry; faithful; brown; nervous
do: bark at the postman; bark all night; wag {its} tail; bark at the moon; run after the ball;
  growl at strangers; bark at the sound of the bell; chase the cat; guard the gate;
  bark loudly behind the fence; sleep in {its} basket
at: in the yard; behind the garden gate; in front of the house; at the door; in the kennel
is: afraid of thunder; loyal to the family; friendly to children; noisy at night
who: postman; burglar; neighbour; owner
acts: hear a loud bark; throw a stick; pat {x} on the head; complain about the noise;
  take {x} for a walk; fasten the lead; call {x} back; drop the letters in fright
own: the bark of the dog ^wake the whole [house|street|family]
  ; dogs bark at [strangers|cats|cars] , but {the} ~bark at everything
  ; one loud bark ^be enough to scare the [thief|cat|burglar] away
  ; a puppy ^try to bark , but only a [squeak|whine|yelp] ^come out
  ; {the} ~bark again and the [cat|thief|fox] ^jump over the wall

scene: bark / tree / thing
hero: tree / trees / it / plant
adj: old; tall; hollow; young; dead; mossy
do: lose {its} bark; have smooth bark; grow [taller|thick bark] every year; shed {its} leaves;
  protect itself with thick bark; give shade; fall in the storm; have rough bark
at: in the forest; on the hill; at the edge of the wood; beside the path
is: covered with brown bark; a hundred years old; eaten by beetles; home to many insects
who: forester; botanist; woodcutter; carpenter
acts: peel the bark with a knife; touch the rough bark; cut a mark into the bark;
  saw off a dry branch; collect pieces of bark; look for beetles under the bark;
  count the rings of the trunk; boil the bark to make a dye
own: the bark of the [oak|birch|pine|elm] ^be [rough|thin|smooth|white|brown]
  ; a woodpecker ^pick insects out of the bark
  ; beetles and [moss|ants|spiders] +live under the bark {at}
  ; deer +eat the bark in [winter|hard winters|the snow]
  ; the native people +build canoes from the bark of the birch

scene: bank / river / thing
hero: bank / banks / it / slope
adj: muddy; steep; grassy; green; sandy
do: slope down to the water; crumble into the river; disappear under the flood;
  give shelter to otters; lie in the shade of the willows; grow slippery after rain;
  rise above the stream; collapse under the weight of the tractor
at: at the bend of the river; below the old mill; beside the stream; near the wooden bridge
is: too steep to climb; covered with wild flowers; soft after the rain; full of rabbit holes
who: fisherman; shepherd; canoeist; otter hunter
acts: tie the boat to a tree on {x}; sit on {x} with a fishing rod; walk along {x} to the mill;
  pull the canoe up {x}; swim to the other side; throw a flat stone into the water;
  pick flowers on {x}; fall into the stream
own: the river ^burst its banks after [three|four|five|six] days of rain
  ; [willows|poplars|reeds] +grow on both banks of the [river|stream|canal]
  ; an otter ^slide down the muddy bank into the [water|river|stream]
  ; the current ^be [strong|slow|dangerous] near the [left|right|far] bank
  ; [ducks|swans|geese] +sleep on the bank {at}

scene: bank / money / thing
hero: bank / banks / it / company
adj: big; local; central; private; rich; small
do: lend money to the farmers; open at nine; raise the interest rate; refuse the loan;
  pay two per cent interest; lose millions on the stock market; close at four;
  open a new branch; send a statement every month; cash the cheque; change dollars into euros
at: in the main street; in the financial district; at the counter; next to the post office
is: closed on sundays; safe from thieves; deep in debt; open to new customers
who: cashier; manager; robber; customer; banker
acts: open an account at {x}; withdraw two hundred dollars; count the notes; apply for a loan;
  pay the debt back to {x}; deposit the salary at {x}; lock the safe; sign the cheque;
  borrow money from {x}; wait in the queue
own: the bank ^lend {him} [two|three|five|ten] thousand dollars for a new [house|car|shop]
  ; two masked robbers +steal the [money|gold|cash] from the safe of the bank
  ; {p} ^keep the [savings|gold|jewels] in a safe at the bank
  ; the interest on the loan ^be [low|high|four per cent|six per cent]
  ; the bank manager ^explain the [mortgage|loan|account] to the [young couple|farmer|widow]
"""
