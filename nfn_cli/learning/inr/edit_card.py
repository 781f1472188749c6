"""The model card of a head that edits INRs."""

from __future__ import annotations

from shlex import quote
from typing import Any

from nfn_cli.learning.inr.edit_evaluation import EditReport
from nfn_cli.learning.metrics import Estimate
from nfn_cli.nn import Head, HeadConfig
from nfn_cli.nn.inr.function_editor import FunctionEditorSizes
from nfn_cli.nn.names import EDITS


def editor_card(head: Head, report: EditReport) -> str:
    """Markdown for `README.md` in the head's folder."""
    config, fitted = head.config, head.config.fitted
    layers = ", ".join(str(layer) for layer in config.accepted.layers)
    parameters = sum(parameter.numel() for parameter in head.model.parameters())
    height, width = config.details.picture
    gain = report.before.value / report.after.value if report.after.value > 0 else float("inf")
    return f"""# {head.name}

Edits implicit neural representations: from the weights of a network to those of a network that shows the edited
picture. It {EDITS[config.details.edit].description}.

**Kind**: {config.kind.title}, {parameters:,} parameters.

**Reads** {config.accepted.activation} networks, ω₀ = {config.accepted.omega_0:g}, of these layers, with any hidden
widths: {layers}. It looks at them as pictures of {height}×{width} pixels.

{_how(config)}

## Data

Fitted to {fitted["networks"]:,} networks ({fitted["data"]}) for {fitted["epochs"]} epochs{_tuning(config)}. The target
is the edit of the picture that the unedited network shows, at its own size, so no images are needed.
{_zoo(fitted)}
## Measured on {report.networks:,} networks of {report.pictures:,} test pictures

Mean squared errors against the edited picture, for values in [0, 1] (for values in [-1, 1] they are four times as
large); 95 % intervals by bootstrap over pictures.

| | |
|---|---|
| edited networks | {scientific(report.after)} |
| unedited networks, for comparison | {scientific(report.before)} ({gain:.0f} times as much) |
| PSNR of the edited networks | {report.psnr:.1f} dB |
| change of the weights, of their norm | {report.change:.1%} |
| processor time | {report.seconds:.3f} s a network |

Editing a moved network gives the moved edited network: under random permutations, signs and phases of {report.moved}
networks no weight differs by more than {report.weight_drift:.1e} of the network's largest, no pixel by more than
{report.picture_drift:.1e}.

The error is measured at the pixels; between them, nothing holds the picture but the network's smoothness. What the edit
makes of networks that are no pictures like those of the training part is not known.

## Reproduce

```
{_commands(head, report, fitted)}
```
"""


def scientific(estimate: Estimate) -> str:
    """A small figure with its interval, such as `3.1e-03 [3.0e-03, 3.2e-03]`."""
    return f"{estimate.value:.2e} [{estimate.low:.2e}, {estimate.high:.2e}]"


def _how(config: HeadConfig) -> str:
    if not isinstance(config.sizes, FunctionEditorSizes):
        return """Equivariant layers read the weights, and what they give is added to these: one forward pass, without
looking at the picture."""
    return f"""A small convolutional network reads the picture and says what it should become; {config.sizes.steps}
Levenberg–Marquardt steps, whose damping, rates and metric are learned, move the weights there. So the weights are
*solved for* within every edit, which is more work than the forward pass of an editor made of equivariant layers."""


def _tuning(config: HeadConfig) -> str:
    if not isinstance(config.sizes, FunctionEditorSizes):
        return ""
    return f", then {config.fitted['tuning']} steps on the solver's numbers"


def _zoo(fitted: dict[str, Any]) -> str:
    zoo = fitted.get("zoo")
    if not zoo:
        return ""
    return f"""
The zoo: a SIREN of {zoo["hidden_layers"]} hidden layers of {zoo["width"]} neurons for each of {zoo["count"]:,}
training and {zoo["test_count"]:,} test pictures of `{zoo["data"]}`, {zoo["fits"]} independent fit(s) each of
{zoo["steps"]} full-batch steps of Adam.
"""


def _commands(head: Head, report: EditReport, fitted: dict[str, Any]) -> str:
    zoo, data, name = fitted.get("zoo"), quote(fitted["data"]), quote(head.name)
    lines = []
    if zoo:
        lines.append(
            f"nfn zoo inr --data {quote(zoo['data'])} --count {zoo['count']} --test-count {zoo['test_count']}"
            f" --fits {zoo['fits']} --width {zoo['width']} --hidden-layers {zoo['hidden_layers']}"
            f" --omega-0 {zoo['omega_0']:g} --steps {zoo['steps']} --learning-rate {zoo['learning_rate']:g}"
            f" --seed {zoo['seed']}{' --packed' if zoo['packed'] else ''} --out {data}"
        )
    height, width = head.config.details.picture
    tuning = f" --tuning {fitted['tuning']}" if isinstance(head.config.sizes, FunctionEditorSizes) else ""
    lines.append(
        f"nfn train-editor {data} --edit {head.config.details.edit} --out {name} --kind {fitted['kind']}"
        f" --size {height} {width} --count {fitted['networks']} --epochs {fitted['epochs']}{tuning}"
        f" --seed {fitted['seed']} --test-count {report.networks}"
    )
    lines.append(f"nfn evaluate-inr {name} {data} --count {report.networks}")
    return "\n".join(lines)
