"""Gauges: freedoms of a function that are no monomial matrices, and how nfn acts by them.

`known_gauges` says which of a traced network's gauges are understood, `sample_turns` draws an element of each, `act_by`
acts, and `gauged` finds those that bring one network near to another.
"""

from nfn_cli.symmetry.labelled.gauges.gauged import Gauged, gauged
from nfn_cli.symmetry.labelled.gauges.sampling import sample_turns
from nfn_cli.symmetry.labelled.gauges.turning import act_by
from nfn_cli.symmetry.labelled.gauges.turns import KnownGauge, Turn, known_gauges

__all__ = ["Gauged", "KnownGauge", "Turn", "act_by", "gauged", "known_gauges", "sample_turns"]
