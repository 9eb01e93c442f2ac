"""The audit's small tables of English: what carries no fact, figures in words, units, negations."""

STOPWORDS = frozenset(
    """a about above after again all also although am an and any are as at be because been before
    being below between both but by can could did do does doing don down during each either else
    even every few for from further get gets getting got had has have having he her here hers
    herself him himself his how however i if in indeed into is it its itself just let like many may
    me might more most much must my myself of off often on once one ones only onto or other others
    ought our ours out over own per quite rather really same several shall she should since so some
    such than that the their them themselves then there therefore these they this those though
    through thus to too toward towards under until up upon us usually various very was we well were
    what when where whereas whether which while who whom whose why will with within would yes yet
    you your yours yourself
    s t ll re ve d m st nd rd th
    etc e.g i.e eg ie vs via way ways thing things kind sort lot lots able use used uses using
    following example examples include includes including included such another called known name
    named answer question sure first second third finally lastly next then last""".split()
)
NUMBERS = {
    word: float(value)
    for value, word in enumerate(
        """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
        fifteen sixteen seventeen eighteen nineteen twenty""".split()
    )
}
NUMBERS |= {
    word: 10.0 * (place + 2)
    for place, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split())
}
ORDINALS = {
    word: float(value)
    for value, word in enumerate(
        """fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth
        fifteenth sixteenth seventeenth eighteenth nineteenth twentieth""".split(),
        4,
    )
}
COUNTED = {"twice": 2.0, "double": 2.0, "pair": 2.0, "triple": 3.0, "thrice": 3.0}
"""Words that a number can be said with; too loose to be looked for themselves."""
SCALES = {
    "dozen": 12.0, "hundred": 100.0, "thousand": 1e3, "million": 1e6, "billion": 1e9,
    "trillion": 1e12, "k": 1e3, "bn": 1e9, "mn": 1e6, "mio": 1e6,
}  # fmt: skip
MONTHS = {
    name: month
    for month, names in enumerate(
        """january jan, february feb, march mar, april apr, may, june jun, july jul, august aug,
        september sep sept, october oct, november nov, december dec""".split(","),
        1,
    )
    for name in names.split()
}
ALSO_WORDS = frozenset("may march mar jan dec sep oct jun apr".split())
"""Months only with a capital."""
UNITS = {
    spelling: spellings.split()[0]
    for spellings in """km kilometre kilometres kilometer kilometers
        m metre metres meter meters
        cm centimetre centimetres centimeter centimeters
        mm millimetre millimetres millimeter millimeters
        mi mile miles
        ft foot feet
        inch inches
        yd yard yards
        kg kilogram kilograms kilo kilos
        g gram grams
        mg milligram milligrams
        lb lbs pound pounds
        oz ounce ounces
        tonne tonnes ton tons
        l litre litres liter liters
        ml millilitre millilitres milliliter milliliters
        gallon gallons
        mph
        kmh kph
        °C degc
        °F degf
        % percent
        $ dollar dollars usd
        € euro euros eur
        £ gbp
        second seconds sec secs
        minute minutes min mins
        hour hours hr hrs
        day days
        week weeks
        month months
        year years
        decade decades
        century centuries
        degree degrees °
        calorie calories kcal""".splitlines()
    for spelling in spellings.split()
}
RELATED = dict(
    pair.split("=")
    for pair in """french=franc dutch=netherl holland=netherl spanish=spain british=britain
    english=england swiss=switzer danish=denmark welsh=wales irish=ireland scottish=scotlan
    turkish=turkey polish=poland swedish=sweden finnish=finland greek=greece children=child
    men=man women=woman people=person feet=foot teeth=tooth mice=mouse lives=life wives=wife
    leaves=leaf went=go gone=go goes=go wrote=write written=write writing=write made=make
    making=make took=take taken=take gave=give given=give began=begin begun=begin became=become
    came=come saw=see seen=see found=find left=leave built=build bought=buy brought=bring
    thought=think taught=teach sold=sell told=tell said=say sent=send spent=spend kept=keep
    held=hold led=lead lost=lose met=meet paid=pay ran=run sat=sit spoke=speak spoken=speak
    stood=stand won=win grew=grow grown=grow knew=know flew=fly drew=draw drawn=draw chose=choose
    chosen=choose broke=break broken=break ate=eat eaten=eat fell=fall fallen=fall felt=feel
    rose=rise risen=rise sang=sing sung=sing swam=swim wore=wear worn=wear better=good best=good
    worse=bad worst=bad colour=color grey=gray theatre=theater centre=center defence=defense
    tv=television photo=photogr phone=telepho aeroplane=airplan""".split()
)
DENIALS = frozenset(
    "not n't never no without cannot neither nor none nobody nothing nowhere".split()
)
"""Words that turn a statement round."""
TURNS = DENIALS | frozenset(
    """hardly barely rarely seldom scarcely lack lacks lacked lacking fail fails failed failing
    unable except excepting exception avoid avoids avoided avoiding prevent prevents prevented
    preventing stop stops refuse refuses refused deny denies denied denying little few only but
    instead exclude excludes excluded excluding absent absence missing miss false wrong impossible
    unlikely free less fewer nor unless regardless beyond against forbid forbids forbidden ban
    banned bans prohibit prohibited prohibits inability minus non zero unlike too rather different
    stay away keep keeps hard difficult unclear unknown limited rare reject rejects rejected
    short devoid neither untouched no-one illegal off leave leaving leaves skip unaffected
    whatever irrelevant independent independently far""".split()
)
"""Words beside which a denial may have gone into other words."""
NO_NAMES = frozenset("i ii iii iv v vi vii viii ix x xi xii fahrenheit celsius".split())
"""Written with a capital, and yet the name of nothing."""
HEADS = frozenset(
    """union states kingdom city river county republic university ocean war world cup empire island
    islands province state sea mountain mountains street league club party college""".split()
)
"""What may be added to a name, and left out of it."""
