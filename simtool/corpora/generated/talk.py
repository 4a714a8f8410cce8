"""Talk: requests with helpful answers, which are a target, and conversations of another wording.

To add a request, write a function that returns (request, answer) and name it in `REQUESTS`; a conversation, one
that returns its turns, in `TALKS`.
"""

from simtool.corpora.generated.dice import Dice, capital, listed

# How to: the task, what one needs, the steps in order
TASKS = (
    ("repot a house plant", ["a larger pot", "fresh soil", "a watering can"],
     ["Water the plant the day before", "Tip the pot and ease the root ball out", "Loosen the roots with your fingers",
      "Put a layer of soil into the new pot", "Set the plant in and fill the gaps", "Press the soil down and water it"]),
    ("mend a bicycle tyre", ["a patch", "glue", "two tyre levers", "a pump"],
     ["Take the wheel out of the frame", "Lever the tyre off on one side", "Find the hole by listening for the air",
      "Roughen the rubber around it", "Spread the glue and let it dry a little", "Press the patch on hard",
      "Put everything back and pump it up"]),
    ("cook a pot of rice", ["a lid that fits", "rice", "twice as much water", "salt"],
     ["Rinse the rice until the water is clear", "Bring rice, water and salt to the boil", "Turn the heat down as far as it goes",
      "Cover the pot and leave it alone", "Take it off the heat after a quarter of an hour", "Loosen the grains with a fork"]),
    ("paint a small room", ["masking tape", "a roller", "a brush", "old sheets"],
     ["Move the furniture into the middle and cover it", "Wash the walls and let them dry", "Tape the edges of windows and doors",
      "Paint the corners with the brush", "Roll the large areas from top to bottom", "Let it dry and give it a second coat"]),
    ("sew on a button", ["a needle", "strong thread", "scissors"],
     ["Thread the needle and knot the end", "Mark where the button belongs", "Bring the needle up from the back",
      "Go through the holes four or five times", "Wind the thread around the stem", "Knot it at the back and cut it"]),
    ("clean a kettle", ["vinegar", "water", "a soft cloth"],
     ["Fill the kettle with equal parts of vinegar and water", "Bring it to the boil", "Let it stand for half an hour",
      "Pour it away and rinse twice", "Boil clear water once and throw it out", "Wipe the outside dry"]),
    ("plan a birthday party", ["a list of guests", "a budget", "a date"],
     ["Settle the date with the people who matter most", "Decide how much you want to spend", "Send the invitations three weeks ahead",
      "Choose food that can be made the day before", "Ask a friend to look after the music", "Tidy only the rooms that guests will see"]),
    ("start a compost heap", ["a shady corner", "dry leaves", "kitchen scraps", "a fork"],
     ["Lay down some twigs so that air gets in", "Add kitchen scraps in a thin layer", "Cover them with dry leaves",
      "Keep the heap as moist as a wrung sponge", "Turn it once a month", "Use it when it is dark and smells of forest"]),
    ("learn the words of a new language", ["small cards", "a pencil", "ten minutes a day"],
     ["Choose words that you would really use", "Write each on a card with a picture", "Say it aloud in a sentence",
      "Look at the new cards again the next morning", "Put aside what you know and repeat the others",
      "Use the words with somebody each week"]),
    ("pack a rucksack for a hike", ["a rain jacket", "a water bottle", "a map", "warm clothes"],
     ["Lay everything out and take away a third", "Put light and soft things at the bottom", "Place the heavy things close to your back",
      "Keep water and map within reach", "Wrap clothes in a bag against rain", "Tighten the hip belt before the shoulder straps"]),
    ("bake a simple loaf", ["flour", "yeast", "salt", "warm water"],
     ["Stir the yeast into the water", "Mix in flour and salt until no dry patch is left", "Knead for ten minutes",
      "Let the dough rise until it has doubled", "Shape it and let it rest again", "Bake it hot until it sounds hollow"]),
    ("prepare for a job interview", ["the advertisement", "your papers", "a quiet evening"],
     ["Read the advertisement again line by line", "Find out what the company does", "Think of an example for each of your skills",
      "Prepare two questions of your own", "Try the journey once before the day", "Sleep well and arrive ten minutes early"]),
)  # fmt: skip
READERS = ["a beginner", "my father", "a child of ten", "someone in a hurry", "two people", "a small budget", "the first time",
           "a shared flat", "a rainy weekend", "people over seventy"]  # fmt: skip
IDEAS = {
    "gifts for a {who}": ["a handwritten letter", "a potted herb", "a good pen", "tickets for a play", "a jar of homemade jam",
                          "a framed photograph", "a book you both like", "a day's help", "a warm hat", "a map of a favourite place"],
    "ways to save {what} at home": ["close the curtains at night", "repair what drips", "cook for two days at once", "switch off at the wall",
                                    "dry clothes in the air", "share tools with neighbours", "write down every cost", "use lids on pots"],
    "games for {n} children on a {day} afternoon": ["a treasure hunt", "charades", "paper boats", "a story told in turns", "a memory tray",
                                                    "shadow puppets", "a quiz about animals", "a kitchen orchestra", "building a den"],
    "quick meals with {food}": ["a thick soup", "an omelette", "fried rice", "a warm salad", "a pie with a potato crust", "filled pancakes",
                                "a stew with beans", "pasta with herbs", "a gratin"],
    "topics for a talk about {theme}": ["how it began", "who paid for it", "a mistake that taught us something", "one day from close by",
                                        "what outsiders get wrong", "numbers that surprise", "what comes next", "a tool that changed it"],
}  # fmt: skip
WHO = ["teacher", "neighbour", "gardener", "nurse", "new colleague", "grandmother", "cook", "student"]
WHAT = ["water", "electricity", "money", "time", "heat"]
FOODS = ["leeks", "chickpeas", "mushrooms", "eggs", "spinach", "pumpkin", "lentils", "old bread", "potatoes"]
THEMES = ["railways", "bees", "rivers", "old toys", "bridges", "bread", "weather", "museums", "sleep", "letters"]
DAYS = ["rainy", "hot", "windy", "free", "quiet", "cold"]
WEEK = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
WORRIES = {
    "I cannot fall asleep before {n} o'clock": ["Get up at the same hour each day", "Leave the phone in another room",
        "Walk for half an hour in daylight", "Drink no coffee after noon", "Write tomorrow's list before you lie down"],
    "My {who} and I argue about the washing up": ["Choose a calm moment to talk", "Say what you need, not what is wrong",
        "Agree on one rule and try it for two weeks", "Swap the chores that you each dislike", "Thank each other when it works"],
    "I have {n} weeks until an exam and have not begun": ["Divide the matter into small parts", "Begin with an old paper to see where you stand",
        "Study in blocks of forty minutes", "Explain each part aloud to a {who}", "Keep the last days for repeating"],
    "My tomato plants have yellow leaves": ["Check whether the soil is too wet", "Take off the lowest leaves", "Feed them every {n} days",
        "Move the pots to a sunnier place", "Look under the leaves for insects"],
    "I forget the names of people I meet": ["Repeat the name at once", "Link it with a picture", "Ask how it is spelled",
        "Use it when you say goodbye", "Note {n} names in the evening"],
    "My knees hurt after running": ["Rest for {n} days", "Shorten your steps", "Choose softer paths", "Have your shoes looked at",
        "Strengthen your hips twice a week"],
}  # fmt: skip
LETTERS = {
    "thank my {who} for {deed}": ("Thank you very much for {deed}.", ["It meant a great deal to me.", "I have thought of it every day since."],
        ["I hope to return the favour soon.", "The next cake is on me."]),
    "tell my {who} that I cannot come on {day}": ("I am sorry to say that I cannot come on {day}.",
        ["A visit that I cannot move falls on the same day.", "I have caught a cold and would rather not share it."],
        ["Would the week after suit you?", "Please tell me how it went."]),
    "invite my {who} to dinner on {day}": ("Would you like to come to dinner on {day}?", ["There will be {food} and good company.",
        "We would begin at {n} o'clock and sit in the garden."], ["Let me know if there is something you do not eat.", "Do bring a friend."]),
    "ask my {who} to return a book": ("I hope that you enjoyed the book about {theme}.", ["Somebody else has now asked me for it.",
        "I need it for a talk on {day}."], ["Could you bring it along this week?", "I can also collect it."]),
}  # fmt: skip
DEEDS = [
    "the help with the move",
    "the lovely weekend",
    "watering the plants",
    "the kind words",
    "the lift to the station",
    "the recipe",
]
NAMES = [
    "Alex",
    "Robin",
    "Sasha",
    "Kim",
    "Noa",
    "Jamie",
    "Toni",
    "Mika",
    "Jules",
    "Sam",
    "Lou",
    "Ari",
    "Remy",
    "Charlie",
]


def dialogue(dice: Dice) -> dict[str, str]:
    """The row: prompt and response."""
    request, answer = dice.choose(REQUESTS)(dice)
    return {"prompt": request, "response": answer}


def _values(dice: Dice) -> dict[str, object]:
    pools = {"who": WHO, "what": WHAT, "food": FOODS, "theme": THEMES, "deed": DEEDS}
    return {name: dice.choose(pool) for name, pool in pools.items()} | {"n": dice.integer(2, 9)}


def _how_to(dice: Dice) -> tuple[str, str]:
    task, needs, steps = dice.choose(TASKS)
    reader = dice.choose(READERS)
    request = dice.say(
        "[How do I|Tell me how to|Explain how to|What is the best way to|Please describe how to] {t}[, for {r}|]",
        t=task,
        r=reader,
    )
    request += "?" if request.startswith(("How", "What")) else "."
    left_out = 0 if dice.chance(0.6) else dice.integer(1, len(steps) - 2)
    included = [step for i, step in enumerate(steps) if not left_out or i != left_out]
    lead = dice.say(
        "[To {t}, you need|You will want to have|Before you begin, get] {n}.",
        t=task,
        n=listed(dice.some(needs, len(needs))),
    )
    close = dice.say("[Take your time|Do not hurry], and it [will go well|gets easier each time|is done in {n} minutes].",
                     n=dice.integer(2, 9) * 10)  # fmt: skip
    if dice.chance(0.5):
        return request, "\n".join([lead, *(f"{i}. {step}." for i, step in enumerate(included, 1)), close])
    links = ["First, ", *[dice.choose(["Then ", "Next, ", "After that, ", "Now "]) for _ in included[2:]], "Finally, "]
    in_sentences = " ".join(f"{link}{step[0].lower()}{step[1:]}." for link, step in zip(links, included, strict=True))
    return request, f"{lead} {in_sentences} {close}"


def _ideas(dice: Dice) -> tuple[str, str]:
    theme, pool = dice.choose(list(IDEAS.items()))
    topic = theme.format(**{**_values(dice), "day": dice.choose(DAYS)})
    n = dice.integer(3, 6)
    ideas = dice.some(pool, n)
    request = dice.say("[Give me|List|Suggest|I am looking for] {n} {t}.", n=n, t=topic)
    lead = dice.say("[Here are|These are|You could try these] {n} {t}:", n=n, t=topic)
    end = dice.say(
        "[If I had to choose one, it would be|My favourite is|The easiest to begin with is] {x}.", x=dice.choose(ideas)
    )
    if dice.chance(0.5):
        return request, "\n".join([lead, *(f"- {capital(idea)}" for idea in ideas), end])
    return request, f"{lead} {listed(ideas)}. {end}"


def _advice(dice: Dice) -> tuple[str, str]:
    worry, pool = dice.choose(list(WORRIES.items()))
    values = _values(dice)
    request = worry.format(**values) + dice.say(
        ". [What can I do?|What would you advise?|Do you have any ideas?|How should I go about it?]"
    )
    tips = [tip.format(**values) for tip in dice.some(pool, dice.integer(3, 4))]
    lead = dice.say("[That is a common trouble|Many people know this|You are not alone with it], and [there is much to try|some things can be"
                    " done|a little patience helps].")  # fmt: skip
    start = dice.choose(["I would begin here: ", "Above all: ", "The first thing: "])
    body = f"{start}{tips[0][0].lower()}{tips[0][1:]}. " + " ".join(f"{tip}." for tip in tips[1:])
    end = dice.say("[If nothing has changed in {n} weeks, ask|Should it last longer than {n} weeks, talk to] somebody who [knows you well|has"
                   " experience with it].", n=dice.integer(2, 6))  # fmt: skip
    return request, f"{lead} {body} {end}"


def _letter(dice: Dice) -> tuple[str, str]:
    purpose, (first, middle, last) = dice.choose(list(LETTERS.items()))
    values = {**_values(dice), "day": dice.choose(WEEK)}
    to, sender = dice.some(NAMES, 2)
    request = dice.say(
        "[Write a short letter|Draft a note|Help me write a few lines] to {p}. ", p=purpose.format(**values)
    )
    request += dice.say(
        "[The name is {to}, and I am {me}.|Address it to {to} and sign it as {me}.|It goes to {to}, from {me}.]",
        to=to,
        me=sender,
    )
    body = " ".join([first, *dice.some(middle, dice.integer(1, 2)), dice.choose(last)]).format(**values)
    opening = dice.choose(["Dear {}", "Hello {}", "My dear {}"]).format(to)
    end = dice.choose(["Best wishes", "Yours", "Warm regards", "See you soon", "With many greetings"])
    return request, f"{opening},\n\n{body}\n\n{end},\n{sender}"


def _plan(dice: Dice) -> tuple[str, str]:
    hours = ["nine", "eleven", "one", "three", "five", "seven"]
    acts = ["walk along the river", "visit the museum", "buy bread at the market", "rest in the park", "write postcards", "climb the tower",
            "look at the old bridge", "have soup in a small kitchen", "take the ferry", "listen to a concert", "draw for an hour"]  # fmt: skip
    who, day, n = dice.choose(WHO), dice.choose(WEEK), dice.integer(3, 5)
    request = dice.say(
        "[Plan|Make a plan for|Suggest] a {day} in town for me and my {who}, with {n} stops.", day=day, who=who, n=n
    )
    selected = dice.some(acts, n)
    lines = [dice.say("At {h}[,|] [you could |]{a}.", h=h, a=a) for h, a in zip(hours, selected, strict=False)]
    end = dice.say(
        "[Keep some time free|Leave a gap] between the stops: your {who} may [tire|want to sit down|find something else].",
        who=who,
    )
    lead = dice.say("A [quiet|full|pleasant|varied] {day} could look like this.", day=day)
    return request, ("\n" if dice.chance(0.5) else " ").join([lead, *lines, end])


def _choice(dice: Dice) -> tuple[str, str]:
    pairs = [("a bicycle", "a bus pass", "good health and freedom", "comfort in bad weather"), ("a paper book", "a screen", "calm and memory", "low weight and quick search"),
             ("a cat", "a dog", "independence", "company on walks"), ("renting", "buying", "the freedom to leave", "a place to change as you like"),
             ("early mornings", "late evenings", "silence before the day", "time after all duties"), ("a train", "a car", "rest on the way", "luggage and remote places"),
             ("cooking", "eating out", "low cost and good health", "ease and variety"), ("a small team", "a large team", "speed", "depth of skills")]  # fmt: skip
    a, b, good_a, good_b = dice.choose(pairs)
    who, n = dice.choose(WHO), dice.integer(2, 9)
    request = dice.say(
        "[Which is better for a {who}|What should a {who} choose|Would you advise a {who} to take]: {a} or {b}?",
        who=who,
        a=a,
        b=b,
    )
    body = dice.say("[It depends on what matters most.|Both have their merits.|There is no single answer.] {A} [offers|stands for|wins on] {x}, while {b}"
                    " [offers|stands for|wins on] {y}. [Try both for {n} weeks|Ask {n} people who have done it|Count the costs over {n} months] before"
                    " [deciding|you settle]. For most of those who work as a {who}, I would [lean towards|pick] {c}.",
                    A=capital(a), b=b, x=good_a, y=good_b, n=n, who=who, c=dice.choose([a, b]))  # fmt: skip
    return request, body


REQUESTS = (_how_to, _ideas, _advice, _letter, _plan, _choice)


# Conversations

WARES = ["washing machine", "desk lamp", "train ticket", "raincoat", "hotel room", "parcel", "printer", "library card", "phone contract",
         "garden chair", "coffee grinder", "headset"]  # fmt: skip
FAULTS = ["arrived broken", "makes a strange noise", "was charged twice", "never came", "is the wrong colour", "stopped working",
          "has a missing part", "is too small"]  # fmt: skip
OUTINGS = ["go swimming", "see that new film", "cook together", "play cards", "go to the lake", "hear the band", "try the climbing hall",
           "take the boat out", "visit the flea market"]  # fmt: skip
EXCUSES = ["I work late", "my cousin is in town", "the car is in the garage", "I promised to babysit", "there's choir practice",
           "I'm still coughing"]  # fmt: skip
OBJECTS = ["a blanket", "the speaker", "crisps", "something to drink", "the tickets", "a salad", "spare gloves", "cash"]
SPOTS = ["by the fountain", "at platform two", "outside the cinema", "at my place", "near the kiosk", "under the clock"]


def chat(dice: Dice) -> str:
    """One transcript, in one of several layouts."""
    names = dice.some(NAMES, 2)
    turns = dice.choose(TALKS)(dice, names)
    form = dice.choose(["{}: {}", "[{}] {}", "{} > {}", "<{}> {}"])
    time, lines = dice.integer(480, 1200), []
    stamped = dice.chance(0.3)
    for who, words in turns:
        stamp = f"{time // 60:02}:{time % 60:02} " if stamped else ""
        lines.append(stamp + form.format(who, words))
        time += dice.integer(0, 4)
    return "\n".join(lines)


def _service(dice: Dice, names: list[str]) -> list[tuple[str, str]]:
    agent, customer = (dice.choose(["Agent", "Support", "Clerk"]), "Customer") if dice.chance(0.5) else names
    ware, fault, number = dice.choose(WARES), dice.choose(FAULTS), dice.integer(10_000, 99_999)
    v = {
        "w": ware,
        "f": fault,
        "no": number,
        "n": dice.integer(2, 14),
        "day": dice.choose(WEEK),
        "name": names[1],
        "d": dice.integer(5, 90),
    }
    turns = [
        (agent, dice.say("[Good morning|Hello|Hi there|Welcome], [how can I help|what brings you here|what can I do for you]?")),
        (customer, dice.say("[Hi, |Hello, |Well, ]my {w} {f}[ and I'm a bit annoyed| again|, I'm afraid].", **v)),
        (agent, dice.say("[Oh, sorry about that.|I'm sorry to hear it.|That's not how it should be.] [Have you got|Could you give me] the order"
                         " number?")),
        (customer, dice.say("[Sure, it's|Yes:|One second... it's] {no}[. The name is {name}|].", **v)),
    ]  # fmt: skip
    if dice.chance(0.5):
        turns += [
            (agent, dice.say("[When did you notice|Since when]?")),
            (customer, dice.say("[Last {day}|About {n} days ago|Right after I unpacked it].", **v)),
        ]
    turns += dice.choose([
        [(agent, dice.say("[I can send a new one|We'll replace it], it [should be|will be] there in {n} days.", **v)),
         (customer, dice.say("[Do I have to send the old one back|What about the old one]?")),
         (agent, dice.say("[No, keep it.|Yes, but the label is free.|Our driver takes it along.]"))],
        [(agent, dice.say("I can [refund|give back] {d} euros [today|right away|to your card].", **v)),
         (customer, dice.say("[Only {d}?|Hm, that's less than I paid.|Okay, fair enough.]", **v)),
         (agent, dice.say("[The rest comes as a voucher.|The delivery fee can't be returned, sorry.|I've added a little on top.]"))],
        [(agent, dice.say("Someone [could come by|can take a look] on {day}, [before noon|after four]. [Does that work|Okay for you]?", **v)),
         (customer, dice.say("[{day} is fine.|Can it be a day later?|Better in the evening.]", **v)),
         (agent, dice.say("[Noted.|All right, it's in the calendar.|Done, you'll get a message.]"))],
    ])  # fmt: skip
    turns.append((customer, dice.say("[Great, thanks|Thank you, bye|Perfect|Alright then, cheers].")))
    if dice.chance(0.6):
        turns.append((agent, dice.say("[Have a nice day|Bye|Any time|Sorry again for the trouble]!")))
    return turns


def _friends(dice: Dice, names: list[str]) -> list[tuple[str, str]]:
    a, b = names
    day, other = dice.some(WEEK, 2)
    v = {"o": dice.choose(OUTINGS), "day": day, "other": other, "x": dice.choose(EXCUSES), "n": dice.integer(3, 9), "s": dice.choose(SPOTS),
         "thing": dice.choose(OBJECTS), "thing2": dice.choose(OBJECTS), "p": dice.choose(NAMES)}  # fmt: skip
    turns = [
        (a, dice.say("[hey|Hi|yo|Morning]! [fancy to|shall we|wanna|do you want to] {o} on {day}?", **v)),
        (b, dice.say("[ugh|hmm|oh no], {x} on {day} :(", **v)),
        (a, dice.say("[and {other}?|what about {other} then?|{other} maybe?]", **v)),
        (b, dice.say("[{other} works|{other} is good|yes, {other}]! [what time|when]?", **v)),
        (a, dice.say("[{n}ish|around {n}|{n} sharp, they close early], {s}?", **v)),
    ]
    if dice.chance(0.6):
        turns += [
            (b, dice.say("[can {p} come too|is {p} in|should we ask {p}]?", **v)),
            (a, dice.say("[of course|sure, the more the better|only if {p} brings {thing}]", **v)),
        ]
    turns += [
        (b, dice.say("[I'll bring|shall I bring|I can get] {thing}", **v)),
        (a, dice.say("[lovely|nice|deal], [then I take|I've got] {thing2}", **v)),
        (b, dice.say("[see you {other}|until then|can't wait][!|]", **v)),
    ]
    return turns


def _neighbours(dice: Dice, names: list[str]) -> list[tuple[str, str]]:
    a, b = names
    v = {"n": dice.integer(2, 14), "day": dice.choose(WEEK), "th": dice.choose(["ladder", "drill", "hedge trimmer", "pram", "cake tin", "trailer"]),
         "pet": dice.choose(["cat", "rabbit", "parrot", "tortoise", "hens"]), "f": dice.choose(FOODS)}  # fmt: skip
    return dice.choose([
        [(a, dice.say("[Excuse me|Hello|Evening], [have you still got|could I borrow] the {th}?", **v)),
         (b, dice.say("[It's in the cellar|My brother has it until {day}|Sure, come over]. [What are you up to|What's the job]?", **v)),
         (a, dice.say("[Nothing big|You'll laugh]: the [gutter|shelf|gate] [came down|is loose] [last night|on {day}].", **v)),
         (b, dice.say("[Need a hand|Shall I hold something]? I'm free after {n}.", **v)),
         (a, dice.say("[You're a gem|That'd be great]. [There'll be {f} soup|I owe you one].", **v))],
        [(a, dice.say("We're off for {n} days from {day}. [Any chance you could feed|Would you look after] the {pet}?", **v)),
         (b, dice.say("[No problem|Happy to]. [Morning and night|How often]?", **v)),
         (a, dice.say("[Once is enough|Twice], the [bag|box] is [on the shelf|in the hall]. And [water the {f}|the post], if you can.", **v)),
         (b, dice.say("[Got it|Fine]. [Where's the key|And the key]?", **v)),
         (a, dice.say("[Under the pot|I'll drop it in on {day}|With the baker]. [Thanks a million|You're the best]!", **v))],
    ])  # fmt: skip


TALKS = (_service, _friends, _neighbours)
