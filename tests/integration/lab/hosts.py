# SPDX-License-Identifier: Apache-2.0
"""The same pipeline on further hosts: the same name, slot and sinks, and a state folder of its own."""
import json

from .narwal import Narwal


def another(first, label, options=("--standby",), settings=None):
    """A narwal for the same pipeline on a host that is called `label`."""
    other = Narwal(first.cluster, name=f"{first.name}-{label}", settings=settings,
                   database=first.database)
    other.name, other.slot, other.out = first.name, first.slot, first.out
    other.config = {**first.config, **(settings or {}), "state_dir": str(other.state_dir)}
    other.options = list(options)
    return other


def status(narwal):
    """What it says of itself; {} when it does not answer."""
    code, text = narwal.call("status", "--json")
    return json.loads(text) if code in (0, 1) and text.startswith("{") else {}


def fencing(narwal):
    """The number of whoever may write to the file sink."""
    return json.loads((narwal.out / "_journal" / "owner").read_text())["fencing"]
