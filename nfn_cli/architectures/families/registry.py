"""All known families. Adding one is adding its file and its entry here. No torch here.

>>> from nfn_cli.architectures.families.registry import FAMILIES
>>> [family.name for family in FAMILIES[:3]]
['Llama', 'Mistral', 'Qwen2']
"""

from __future__ import annotations

from nfn_cli.architectures.families.family import Family

FAMILIES: tuple[Family, ...] = (
    Family("Llama", "variants.llama"),
    Family("Mistral", "variants.mistral"),
    Family("Qwen2", "variants.qwen2"),
    Family("Qwen3", "variants.qwen3"),
    Family("Gemma", "variants.gemma"),
    Family("Gemma 2", "variants.gemma2"),
    Family("Phi", "variants.phi"),
    Family("OLMo 2", "variants.olmo2"),
    Family("GPT-NeoX", "variants.gpt_neox"),
    Family("Mixtral", "variants.mixtral"),
    Family("GPT-2", "gpt2"),
    Family("OPT", "opt"),
    Family("BERT", "bert"),
    Family("T5", "t5"),
    Family("ViT and DeiT (transformers)", "vit"),
    Family("ViT and DeiT (timm)", "timm_vit"),
    Family("MLP-Mixer (timm)", "timm_mixer"),
    Family("recorded network", "recorded"),
    Family("ResNet (torchvision)", "resnet", by_shapes=True),
    Family("CIFAR ResNet", "cifar_resnet", by_shapes=True),
    Family("pre-activation ResNet", "preact_resnet", by_shapes=True),
    Family("WideResNet (pre-activation)", "preact_resnet", by_shapes=True, prefix="wide_"),
    Family("VGG (torchvision)", "vgg", by_shapes=True),
    Family("DenseNet (torchvision)", "densenet", by_shapes=True),
    Family("MobileNetV2 (torchvision)", "mobilenet_v2", by_shapes=True),
    Family("MobileNetV3 (torchvision)", "mobilenet_v3", by_shapes=True),
    Family("EfficientNet (torchvision)", "efficientnet", by_shapes=True),
    Family("ConvNeXt (torchvision)", "convnext", by_shapes=True, prefix="torchvision_"),
    Family("ConvNeXt (timm)", "convnext", by_shapes=True, prefix="timm_"),
    Family("ConvNeXt (Hugging Face)", "convnext", by_shapes=True, prefix="hugging_face_"),
    Family("ResNet (Hugging Face)", "hf_resnet", by_shapes=True),
    Family("U-Net", "unet", by_shapes=True),
    Family("recurrent stack", "recurrent", by_shapes=True),
    Family("actor-critic (stable-baselines3)", "actor_critic", by_shapes=True, prefix="policy_"),
    Family("actor-critic on one trunk", "actor_critic", by_shapes=True, prefix="trunk_"),
)


def name_of(module: str, prefix: str = "") -> str:
    """The name of a family, for its own file: `name_of(__name__)`.

    Args:
        module: where its functions are.
        prefix: what their names begin with.
    """
    return {(own.module, own.prefix): own.name for own in FAMILIES}[module, prefix]
