"""May the neurons between two layers of a chain be moved, or may the network have more there than a chain has?

Shapes that chain are no proof. Here rival readings are looked for: skips around a container, branches that read the
same neurons, gates, recurrent cells, networks of their own, parallel and transposed convolutions. Where one is likely,
the neurons that it would read stay in place. What holds under all of them may be moved: what lies inside of an
`nn.Sequential`, which no other module sees, and what follows by number in flat names, where no width speaks against it.

Each kind of rival reading is one file.
"""

from nfn_cli.architectures.joints.reasons import joint_reasons
from nfn_cli.architectures.joints.taken import taken_joints

__all__ = ["joint_reasons", "taken_joints"]
