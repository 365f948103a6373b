"""This module is the list of networks that folding is verified and measured on, with a size of image for each.

They are chosen for where their normalization layers stand, not for their accuracy. Weights are random; images are
as small as the network allows without running out of pixels, since what is folded does not depend on their size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network.

    Attributes:
        name: As ``training.networks`` knows it.
        family: Networks of one family have the same blocks.
        row_shape: Of one row of its input.
        arguments: It is built with.
    """

    name: str
    family: str
    row_shape: tuple[int, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)


def _image(name: str, family: str, size: int = 128) -> Architecture:
    return Architecture(name, family, (3, size, size))


OWN = (
    Architecture("mlp", "MLP", (64,)),
    Architecture("convnet", "ConvNet", (1, 28, 28)),
    _image("vgg11", "VGG"),
    _image("vgg16", "VGG"),
    _image("bninception", "BN-Inception"),
    _image("resnet18", "ResNet"),
    _image("resnet34", "ResNet"),
    _image("resnet50", "ResNet"),
    _image("preactresnet18", "pre-activation ResNet"),
    _image("preactresnet50", "pre-activation ResNet"),
    Architecture("densenet", "DenseNet", (3, 32, 32), {"block_layers": (6, 6, 6), "stem": "small", "growth": 12}),
    _image("densenet121", "DenseNet"),
    _image("mobilenetv2", "MobileNetV2"),
)
"""Those of this project."""

TIMM = (
    _image("timm/resnet18d", "ResNet"),
    _image("timm/seresnext26d_32x4d", "SE-ResNeXt"),
    _image("timm/resnetv2_50", "pre-activation ResNet"),
    _image("timm/densenetblur121d", "DenseNet"),
    _image("timm/mobilenetv1_100", "MobileNetV1"),
    _image("timm/mobilenetv3_large_100", "MobileNetV3"),
    _image("timm/mobilenetv4_conv_small", "MobileNetV4"),
    _image("timm/mobilenet_edgetpu_v2_xs", "MobileNet-EdgeTPU"),
    _image("timm/mnasnet_100", "MnasNet"),
    _image("timm/fbnetc_100", "FBNet"),
    _image("timm/fbnetv3_b", "FBNet"),
    _image("timm/hardcorenas_a", "HardCoRe-NAS"),
    _image("timm/efficientnet_b0", "EfficientNet"),
    _image("timm/tf_efficientnet_b0", "EfficientNet"),
    _image("timm/efficientnet_lite0", "EfficientNet-Lite"),
    _image("timm/tinynet_e", "TinyNet", 106),
    _image("timm/lcnet_050", "LCNet"),
    _image("timm/ghostnet_100", "GhostNet"),
    _image("timm/ghostnetv2_100", "GhostNet"),
    _image("timm/repghostnet_100", "RepGhost"),
    _image("timm/rexnet_100", "ReXNet"),
    _image("timm/regnetx_002", "RegNet"),
    _image("timm/regnety_002", "RegNet"),
    _image("timm/regnetz_005", "RegNetZ"),
    _image("timm/gernet_s", "GENet"),
    _image("timm/dla34", "DLA"),
    _image("timm/hrnet_w18_small", "HRNet"),
    _image("timm/res2net50_14w_8s", "Res2Net"),
    _image("timm/resnest14d", "ResNeSt"),
    _image("timm/skresnet18", "SKNet"),
    _image("timm/selecsls42b", "SelecSLS"),
    _image("timm/inception_v3", "Inception", 139),
    _image("timm/inception_v4", "Inception", 139),
    _image("timm/inception_resnet_v2", "Inception-ResNet", 139),
    _image("timm/legacy_xception", "Xception"),
    _image("timm/xception41p", "pre-activation Xception"),
    _image("timm/dpn48b", "DPN"),
    _image("timm/dpn68b", "DPN"),
    _image("timm/ese_vovnet19b_dw", "VoVNet"),
    _image("timm/cspresnet50", "CSPNet"),
    _image("timm/cs3darknet_s", "CSPNet"),
    _image("timm/darknet21", "DarkNet"),
    _image("timm/hgnetv2_b0", "HGNet"),
    _image("timm/repvgg_a0", "RepVGG"),
    _image("timm/mobileone_s1", "MobileOne"),
    _image("timm/convmixer_768_32", "ConvMixer", 64),
    _image("timm/starnet_s1", "StarNet"),
    _image("timm/tresnet_m", "TResNet"),
    _image("timm/repvit_m0_9", "RepViT"),
    _image("timm/mobilevit_xxs", "MobileViT"),
    _image("timm/fastvit_t8", "FastViT"),
    _image("timm/nextvit_small", "Next-ViT"),
    _image("timm/efficientvit_b0", "EfficientViT"),
    _image("timm/shvit_s1", "SHViT"),
    _image("timm/levit_128s", "LeViT", 224),
    _image("timm/levit_conv_128s", "LeViT", 224),
    _image("timm/efficientformer_l1", "EfficientFormer", 224),
    _image("timm/efficientformerv2_s0", "EfficientFormerV2", 224),
    _image("timm/swiftformer_xs", "SwiftFormer", 224),
    _image("timm/efficientvit_m0", "EfficientViT-M", 224),
    _image("timm/visformer_tiny", "Visformer", 224),
    _image("timm/xcit_nano_12_p16_224", "XCiT", 224),
    _image("timm/coatnet_bn_0_rw_224", "CoAtNet", 224),
    _image("timm/tiny_vit_5m_224", "TinyViT", 224),
)
"""Those of timm that torch can export."""

ARCHITECTURES = OWN + TIMM


def architecture(name: str) -> Architecture:
    """The architecture of a name."""
    return next(architecture for architecture in ARCHITECTURES if architecture.name == name)
