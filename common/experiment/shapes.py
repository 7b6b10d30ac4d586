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
    return next(filter(None, _misfits(record, shapes)), None)


def _misfits(record, shapes):
    yield misfit(record, RECORD)
    for part, shape in shapes.items():
        if callable(shape):
            entries = record.setdefault(part, [])
            yield misfit(entries, [{"name": str}] * len(entries) if isinstance(entries, list) else [], part)
            for number, entry in enumerate(entries):
                yield misfit(entry, shape(entry, record["settings"]), f"{part}[{number}]")
        else:
            yield misfit(record.get(part, ...), shape, part)


def misfit(value, shape, where="record"):
    """Name the place where a value first differs from its shape; None where it does not."""
    if isinstance(shape, dict) and isinstance(value, dict):
        inner = ((value.get(key, ...), one, f"{where}.{key}") for key, one in shape.items())
    elif isinstance(shape, list) and isinstance(value, list) and len(value) == len(shape):
        inner = ((*pair, f"{where}[{number}]") for number, pair in enumerate(zip(value, shape)))
    else:
        return None if _fits(value, shape) else where
    return next(filter(None, (misfit(*one) for one in inner)), None)


def _fits(value, shape):
    if isinstance(shape, set):
        return isinstance(value, str) and value in shape
    if isinstance(shape, tuple):
        number = type(value) in (int, float)
        return number and (shape[0] <= value <= shape[1] or value != value and len(shape) > 2)
    return type(value) is shape or value is None is shape
