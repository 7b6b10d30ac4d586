"""The record while it grows: what it has, what is missing, and every finished run written into it."""

import json
from dataclasses import fields, replace

from . import records


def identity(case):
    """The fields by which a case is recognised in the record: those that its dataclass compares."""
    return {field.name: getattr(case, field.name) for field in fields(case) if field.compare}


def _key(found):
    return json.dumps(records.plain(found), sort_keys=True)


class Book:
    """The record of an experiment at `path`, on data called `what` of these sizes; OSError where it must not go there.

    As long as the data are not known (None), they are not compared. shared: what determines the results of all runs.
    """

    def __init__(self, experiment, settings, path, what, sizes):
        self.path, self._experiment, self._settings = path, experiment, settings
        old = {"settings": {}}
        if path.exists() and (what == "stand-in" or not settings.fresh):
            there = records.read(path, experiment.shapes)
            if what == "stand-in" and there["data"] != what:
                real = "is a record of real data, which generated data does not replace"
                raise OSError(f"{path} {real}. Give another --out")
            if not settings.fresh:
                old = there
        larger = {name: max(getattr(settings, name), old["settings"].get(name, 1)) for name in settings.EXTENDING}
        determining = settings.determining() | experiment.fixed | sizes
        known = {"data": what or old.get("data")} | determining
        self.shared = {name: value for name, value in known.items() if name not in larger}
        if "data" in old:
            self._check_same(old)
        plan = experiment.plan(replace(settings, **larger))
        self._entries = {part: self._kept(part, cases, old) for part, (_, cases) in plan.items()}
        self._record = {
            "schema": records.SCHEMA,
            "exercise": experiment.name.removeprefix("ex"),
            "data": what,
            "settings": determining | larger,
            "planned": sum(map(len, self._entries.values())),
            "seconds": old.get("seconds") or 0,
        } | {name: old[name] for name in ("versions", "machine") if name in old}

    def _check_same(self, old):
        """Refuse to mix a record with, or to replace it by, runs of other settings."""
        before = {"data": old["data"]} | old["settings"]
        now = records.plain(self.shared)
        differ = [f"{key} {before.get(key)}, now {value}" for key, value in now.items() if before.get(key) != value]
        if differ:
            said = f"{self.path} holds other runs ({'; '.join(differ)})"
            raise OSError(f"{said}. Give another --out, or --fresh to replace it")

    def _kept(self, part, cases, old):
        """Return {key: entry of the old record or None} for each case."""
        keys = [_key(identity(case)) for case in cases]
        twice = [case.name for number, case in enumerate(cases) if keys[number] in keys[:number]]
        if twice:
            raise OSError(f"{twice[0]} is planned twice in {part!r}. Remove one")
        names = list(identity(cases[0])) if cases else []
        entries = {_key({name: entry.get(name) for name in names}): entry for entry in old.get(part, ())}
        return {key: entries.get(key) for key in keys}

    def missing(self):
        """List the runs that are to be trained: (part of the record, cases, epochs)."""
        runs = []
        for part, (epochs, cases) in self._experiment.plan(self._settings).items():
            lacking = [case for case in cases if not self._entries[part][_key(identity(case))]]
            groups = self._experiment.together(part, lacking, self._settings)
            runs += [(part, group, epochs) for group in groups if group]
        return runs

    def add(self, part, cases, entries):
        """Write the record with the entries of a finished run."""
        for case, entry in zip(cases, entries, strict=True):
            self._entries[part][_key(identity(case))] = entry
        self._record["seconds"] += entries[0]["seconds"]
        self._record |= {name: entries[0][name] for name in ("versions", "machine")}
        self.write()

    def write(self):
        """Write the record: of what is planned, the entries that are there."""
        finished = {part: [entry for entry in entries.values() if entry] for part, entries in self._entries.items()}
        records.write(self.path, self._record | finished)
