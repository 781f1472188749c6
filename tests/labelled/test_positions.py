"""Where entries come from along several axes at once."""

import numpy as np

from nfn_cli.architectures.labels import Role, Use
from nfn_cli.symmetry.labelled.positions import sources


def test_a_large_joint_role_is_followed_entry_by_entry():
    """16,384 entries along three axes: numpy 2.4 unravels such arrays wrongly where they are not flat."""
    shape = (4, 64, 64)
    labels = np.arange(4 * 64 * 64, dtype=np.int32)
    goes = np.random.default_rng(0).permutation(len(labels)).astype(np.int32)
    use = Use((*shape, 2), (8192, 128, 2, 1), 0, (Role(labels.reshape(*shape, 1)),))
    outer, middle, inner, kernel = sources(use, goes)
    assert kernel is None
    assert np.array_equal(goes[((outer * 64 + middle) * 64 + inner).ravel()], labels)
