"""Text in a log line: words of our own are shown, everything else is not (style s8).

An account may be digits, letters, or a name in any script; a secret may look like anything. No pattern tells them from
harmless text, so none is asked: a text is cut at white space, and a piece is shown only where it consists of words of
WORDS, digits and plain punctuation. Of digits at most four are shown in a whole text. Whatever is written into an
exception, a partner's code or a message of a library, a line can therefore hold no other word than these.
"""

import re
from functools import lru_cache

HIDDEN = "***"
LENGTH_MAX = 1_000
DIGITS_MAX = 4
"""How much of an account may be seen (style s8): no more digits than these stand in one text, however it is cut."""
WORDS = frozenset(
    """
    a aborted above absent acc accept accepted accepting access account acct acquire adapter adapters addr address
    adjust admin after again age agent ago aiohttp aiokafka alarm alert all allowance allowances allowed already
    alter although amount an and another answer answered answers any anybody application archive are argument
    arguments arithmetic arrears as ask asked asking assertion assigned asyncio at attempt attempted attribute
    authentication authorities authority authorization available awaited away bad balance base batch be because been
    before began begin begins begun being below beside between bianmin bill biller billers bind blocking board body
    book books bool both bound break broke broken buffer bus busy but by byte bytearray bytes call callable called
    caller calls cancel canceled canceling cancelled cancelling cannot card carried carrier cause caused certificate
    certificates changed changes channel character characters check child chore claim cleanup client clock close
    closed code codes column columns come comes command commit committed compact compression configuration
    configured confirm conflict connect connected connection connections connector consistent constraint contains
    content contradiction contradicts control coroutine could count create created crl cryptography current cust
    data database date day deadline deadlock debit decide decided declare declared declined decode decoding deep
    default delete denied deposit descriptor detail detected device dict did differs digits direct directory
    disconnected disk division dns do does doubt down drop dropped due duplicate during each early echo elapsed
    election empty enable encode encoding encrypted end ended engine entry enum eof errno error errors event events
    every evidence exceeded exception exclusive executing exist exists expected expired face fact fail failed fails
    failure false family fault fen fetch field file final finish first flag flight float flow for foreign form
    format found frame free from frozenset full future gas gateway gave get getaddrinfo given go gone got greater
    group had half handle handling handshake has have head header headers heard held here hold holds host hostname
    hosts house http httpx hung idle image implemented in incomplete index indices input inquiry installed
    insufficient insync int integer integrity interface internal interrupted invalid io is isp issue it item items
    iterable iteration iterator its job json keep key keys keyword kind known lane large last late later leader leaf
    lease leases least leaves left length less letters level limit line list listening listens load locked log lone
    longer look lookup lost lower mac machine malformed many match matched max maximum may media member memory
    message metadata method middle min mismatch missed missing mode ms msgspec must name named names needed needs
    negative neither network never neverpaid new next no nobody node nodename nonce nonces none nonetype nor not
    nothing notice notified notsent now null number numbers object occurs of off on once one only open opened
    operation operational operator or order orders orig os other ours out outcome over overflow overloaded own page
    paid parameter parse part partial partition partitions partner password path paused pay payload payment payments
    payout peer pending perhaps period permission permitted person pipe place plan plat point policy pool port position
    positional positive possible postgre postgresql posting postings power premature present primary probe problem
    process processes program programming protocol proven proves provided public publish purge python query question
    queue quota raised range rate raw reached read readable reader reading readonly ready reason rebuilt received recipe
    reconnect record records recovery recursion redone refund refused register registered rejected relation relay
    release released remaining remote repeat repeated replayed replicas replication reply report request requested
    requests required reserved reset resolve resource response result results retention retrieved retry returned
    reused rev reverse reversed reversing revoked role rollback route row rows rule ruled rules ruling running runs
    runtime s said save saved savings schema seal sealed sealer second seconds see seen segment send sender sent
    sequence serial serialize serialized served server service servname session set settle shop should shut shutdown
    sign signature signed simulator single size sleep slot slow sms socket source space spoke sql sqlite ssl stale
    stand standby start started starting state statement station still stillpaid stop stopped stopping store str
    strayed stream string structure sub subject subscriptable succ succeeded success such sum support supported
    suspended sweep switch sync system table tables take taken takes target task tcp telecom temporarily term
    terminal terminated terminating text than that the their them then there thing this thread time timed timeout
    timestamp tls to token told tombstone tombstoned too took topic topics topup total trace trailing trained
    transaction transport tree tried tries true truncated try tuple turn tv twice type udp unable unavailable
    unclean uncompressed undo undoing undone unexpected unhandled unicode unique unit units unknown unless unmapped
    unpack unreachable unreadable unsent unsupported until up update upgrade url use used useful user using utf
    uvloop valid value values verify version violates violation void wait waited waiting warning warnings was watch
    water way went were what when where which while whole with withheld within without words worker would write
    writer writes written wrong wrote yarl yet yuan zeep zero
    """.split()
)
"""What our own code, the operating system and the databases say. Add a word where a line of ours shows `***`."""
_PLAIN = re.compile(r"[A-Za-z0-9_./:;,'\"()\[\]{}<>=*`$-]+")
_RUN = re.compile(r"[A-Za-z0-9]+")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


@lru_cache(maxsize=512)
def shown(text: str) -> str:
    """What a line may show of a text; pieces that are not shown become ***, several in a row one."""
    pieces: list[str] = []
    left = DIGITS_MAX
    for piece in text[:LENGTH_MAX].split():
        digits = _digits(piece)
        if digits is not None and digits <= left:
            left -= digits
            pieces.append(piece)
        elif not pieces or pieces[-1] != HIDDEN:
            pieces.append(HIDDEN)
    return " ".join(pieces)


def _digits(piece: str) -> int | None:
    """How many digits a piece of known words, numbers and punctuation holds; None for any other piece."""
    if not _PLAIN.fullmatch(piece):
        return None
    digits = 0
    for run in _RUN.findall(piece):
        if run.isdigit():
            digits += len(run)
        elif not run.isalpha() or not all(word.lower() in WORDS for word in _WORD.findall(run)):
            return None
    return digits
