"""Names and addresses as a shop may see them (domain s5, s12): enough to recognise, not enough to keep.

Chosen: a name of up to four characters keeps its last one (张三 -> *三, 欧阳修 -> **修, 欧阳娜娜 -> ***娜), the common
form at Chinese counters; a longer one is an organisation or a foreign name and keeps its first and last (示*****学).
An address keeps at most its first six characters and never more than half, the rest is four stars: district and road
help the customer to say yes, house and door numbers stay away. Texts that a biller masked already stay as they are
where at least half of the characters are stars.
"""

STAR = "*"
SHORT_NAME = 4
ADDRESS_KEPT = 6


def mask_name(name: str) -> str:
    """A customer's name with all but a little replaced by stars; "" stays ""."""
    name = name.strip().replace("＊", STAR)
    if len(name) <= 1:
        return STAR * len(name)
    if name.count(STAR) * 2 >= len(name):
        return name
    if len(name) <= SHORT_NAME:
        return STAR * (len(name) - 1) + name[-1]
    return name[0] + STAR * (len(name) - 2) + name[-1]


def mask_address(address: str) -> str:
    """An address without its end; "" stays ""."""
    address = address.strip().replace("＊", STAR)
    if not address or address.count(STAR) * 2 >= len(address):
        return address
    return address[: min(ADDRESS_KEPT, len(address) // 2)] + STAR * 4
