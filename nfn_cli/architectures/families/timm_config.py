"""The `config.json` that timm writes: a network's name, its classes, and arguments that differ from its own."""

from __future__ import annotations

from nfn_cli.architectures.families.family import Config
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.timm_names import Arguments
from nfn_cli.errors import shown

# Arguments that leave the function in evaluation alone.
HARMLESS_ARGUMENTS = frozenset(
    {
        "attn_drop_rate",
        "drop_path_rate",
        "drop_rate",
        "dynamic_img_pad",
        "dynamic_img_size",
        "fix_init",
        "nlhb",
        "patch_drop_rate",
        "pos_drop_rate",
        "proj_drop_rate",
        "weight_init",
    }
)


def told_arguments(config: Config, named: Arguments, title: str) -> Fields:
    """All arguments of a network: its own by its name, changed by what the configuration says.

    Raises:
        Refusal: for fields that are not known.
    """
    # What `pretrained_cfg` says beside the size of pictures is about training and preparing pictures.
    outer = Fields(config, title, harmless={"architecture", "num_features", "label_names", "label_descriptions"})
    changed = dict(named)
    prepared = outer.part("pretrained_cfg") or {}
    if prepared.get("input_size") is not None:
        size = prepared["input_size"]
        if not isinstance(size, list) or len(size) != 3 or any(type(each) is not int for each in size):
            raise Refusal(f"{title}: 'input_size' of pretrained_cfg is {shown(size)}: not three whole numbers")
        changed |= {"in_chans": size[0], "img_size": size[1:]}
    if outer.has("num_classes"):
        changed["num_classes"] = outer.whole("num_classes", low=0)
    if outer.has("global_pool"):
        changed["global_pool"] = outer.word("global_pool")
    told = outer.part("model_args") or {}
    if own := next((name for name in told if name.startswith("_")), None):
        raise Refusal(f"{title}: {shown(own)} of model_args is not known")
    changed |= told
    outer.finish()
    return Fields(changed, title, where="model_args", harmless=HARMLESS_ARGUMENTS)
