"""What a record must look like before anything is drawn of it.

A *shape* mirrors the value that it describes: a dict has at least these keys, a list exactly these elements, a type is
the value's own, None is null, a set has the texts to choose from, and (low, high) is a number between them, that may be
nan where the tuple has nan as a third.
"""

RECORD = {"data": str, "planned": int, "settings": {"epochs": int, "seeds": int}}


def damage(record, shapes):
    """Name the place where a record is damaged; None where it is as it must be.

    shapes: the shape of what the record has under each name; of a list of entries a function(entry, settings) that
    returns the shape of one. A part that is not there gets an empty list.
    """
    return next(_record_misfits(record, shapes), None)


def _record_misfits(record, shapes):
    yield from _misfits(record, RECORD)
    for part, shape in shapes.items():
        if not callable(shape):
            yield from _misfits(record.get(part, ...), shape, part)
            continue
        entries = record.setdefault(part, [])
        yield from _misfits(entries, list, part)
        for number, entry in enumerate(entries):
            where = f"{part}[{number}]"
            yield from _misfits(entry, {"name": str}, where)
            yield from _misfits(entry, shape(entry, record["settings"]), where)


def _misfits(value, shape, where="record"):
    """Yield the places where a value differs from its shape."""
    if isinstance(shape, dict) and isinstance(value, dict):
        for key, one in shape.items():
            yield from _misfits(value.get(key, ...), one, f"{where}.{key}")
    elif isinstance(shape, list) and isinstance(value, list) and len(value) == len(shape):
        for number, pair in enumerate(zip(value, shape)):
            yield from _misfits(*pair, f"{where}[{number}]")
    elif not _fits(value, shape):
        yield where


def _fits(value, shape):
    if isinstance(shape, set):
        return isinstance(value, str) and value in shape
    if isinstance(shape, tuple):
        number = type(value) in (int, float)
        return number and (shape[0] <= value <= shape[1] or value != value and len(shape) > 2)
    return type(value) is shape or (value is None and shape is None)
