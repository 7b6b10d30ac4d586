"""What a record must look like before anything is drawn of it.

A *shape* mirrors the value that it describes: a dict has at least these keys, a list exactly these elements, a type is
the value's own, None is null, a set has the texts to choose from, and (low, high) is a number between them, that may be
nan where the tuple has nan as a third.
"""

RECORD = {"data": str, "planned": int, "settings": {"epochs": int, "seeds": int}}


def damage(record, shapes):
    """Say what is wrong with a record, in a few words; None where nothing is.

    shapes: the shape of what the record has under each name; of a list of entries a function(entry, settings) that
    returns the shape of one. A part that is not there is one without entries.
    """
    wrong = misfit(record, RECORD)
    for part, shape in shapes.items():
        if not callable(shape):
            wrong = wrong or misfit(record.get(part, ...), shape, part)
            continue
        entries = record.setdefault(part, [])
        wrong = wrong or misfit(entries, [{"name": str}] * len(entries) if isinstance(entries, list) else [], part)
        for number, entry in enumerate([] if wrong else entries):
            wrong = wrong or misfit(entry, shape(entry, record["settings"]), f"{part}[{number}]")
    return wrong


def misfit(value, shape, where="record"):
    """Say where a value first differs from its shape; None where it does not."""
    if isinstance(shape, dict) and isinstance(value, dict):
        inner = ((value.get(key, ...), one, f"{where}.{key}") for key, one in shape.items())
    elif isinstance(shape, list) and isinstance(value, list) and len(value) == len(shape):
        inner = ((*pair, f"{where}[{number}]") for number, pair in enumerate(zip(value, shape)))
    else:
        return None if _fits(value, shape) else f"{where} is {_words(value)}, not {_words(shape)}"
    return next(filter(None, (misfit(*one) for one in inner)), None)


def _fits(value, shape):
    if isinstance(shape, set):
        return isinstance(value, str) and value in shape
    if isinstance(shape, tuple):
        number = type(value) in (int, float)
        return number and (shape[0] <= value <= shape[1] or value != value and len(shape) > 2)
    return type(value) is shape or value is None is shape


def _words(thing):
    if isinstance(thing, tuple):
        return f"a number from {thing[0]:g} to {thing[1]:g}"
    if isinstance(thing, set):
        return f"one of {', '.join(sorted(thing))}"
    if isinstance(thing, (list, dict)):
        return f"{'a list' if isinstance(thing, list) else 'an object'} of {len(thing)}"
    if isinstance(thing, type):
        return {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}[thing]
    return "missing" if thing is ... else f"{thing!r:.40}"
