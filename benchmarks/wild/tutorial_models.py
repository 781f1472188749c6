"""Networks as tutorials have them, and a factory of each for each kind of pictures.

A copy of this file stands beside the networks: `nfn inspect net.safetensors --model model.py:lenet5_mnist`. Factories
return the network and one picture. Networks return logits, also where the tutorial's own returns their log-softmax.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PyTorchMnist(nn.Module):
    """`mnist/main.py` of pytorch/examples."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = self.dropout2(x)
        return self.fc2(x)


class LeNet5(nn.Module):
    """LeCun et al. 1998, with tanh and average pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = nn.AvgPool2d(2)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(torch.tanh(self.conv1(x)))
        x = self.pool(torch.tanh(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = torch.tanh(self.fc1(x))
        x = torch.tanh(self.fc2(x))
        return self.fc3(x)


def _keras_mnist() -> nn.Module:
    """Keras' "Simple MNIST convnet"."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10)),
    )


def _mlp_512(inputs: int) -> nn.Module:
    """Keras' `mnist_mlp`: two layers of 512 with dropout."""
    return nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(inputs, 512), nn.ReLU(), nn.Dropout(0.2)),
        *(nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.2)),
        nn.Linear(512, 10),
    )


def _mlp_128() -> nn.Module:
    """TensorFlow's quickstart for beginners."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))


def _mlp_300_100() -> nn.Module:
    """LeNet-300-100, with ReLU."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)
    )


class PyTorchCifar(nn.Module):
    """PyTorch's tutorial "Training a Classifier"."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


def _keras_cifar(channels: int) -> nn.Module:
    """Keras' `cifar10_cnn`."""
    return nn.Sequential(
        *(nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Flatten(), nn.Linear(2304, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10)),
    )


class BasicBlock(nn.Module):
    def __init__(self, ins: int, outs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(ins, outs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outs)
        self.conv2 = nn.Conv2d(outs, outs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outs)
        self.shortcut = nn.Sequential()
        if stride != 1 or ins != outs:
            self.shortcut = nn.Sequential(nn.Conv2d(ins, outs, 1, stride=stride, bias=False), nn.BatchNorm2d(outs))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class ResNet(nn.Module):
    """A ResNet for CIFAR-10 (He et al. 2016) of 6 `blocks` + 2 layers, with 1×1 convolutions as shortcuts."""

    def __init__(self, channels: int, blocks: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._stage(width, width, blocks, 1)
        self.layer2 = self._stage(width, 2 * width, blocks, 2)
        self.layer3 = self._stage(2 * width, 4 * width, blocks, 2)
        self.linear = nn.Linear(4 * width, 10)

    @staticmethod
    def _stage(ins: int, outs: int, blocks: int, stride: int) -> nn.Sequential:
        return nn.Sequential(BasicBlock(ins, outs, stride), *(BasicBlock(outs, outs, 1) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        return self.linear(out.mean((2, 3)))


Factory = Callable[[], tuple[nn.Module, Tensor]]
_PICTURES = {"mnist": (1, 28, 28), "gray": (1, 32, 32), "color": (3, 32, 32)}


def _factory(make: Callable[..., nn.Module], data: str, *sizes: int) -> Factory:
    return lambda: (make(*sizes), torch.zeros(1, *_PICTURES[data]))


pytorch_mnist_mnist = _factory(PyTorchMnist, "mnist")
lenet5_mnist = _factory(LeNet5, "mnist")
keras_mnist_mnist = _factory(_keras_mnist, "mnist")
mlp_512_mnist = _factory(_mlp_512, "mnist", 784)
mlp_128_mnist = _factory(_mlp_128, "mnist")
mlp_300_100_mnist = _factory(_mlp_300_100, "mnist")
pytorch_cifar_gray = _factory(PyTorchCifar, "gray", 1)
keras_cifar_gray = _factory(_keras_cifar, "gray", 1)
mlp_512_gray = _factory(_mlp_512, "gray", 1024)
resnet8_gray = _factory(ResNet, "gray", 1, 1, 16)
resnet14_gray = _factory(ResNet, "gray", 1, 2, 8)
resnet20_gray = _factory(ResNet, "gray", 1, 3, 8)
pytorch_cifar_color = _factory(PyTorchCifar, "color", 3)
keras_cifar_color = _factory(_keras_cifar, "color", 3)
mlp_512_color = _factory(_mlp_512, "color", 3072)
resnet8_color = _factory(ResNet, "color", 3, 1, 16)
resnet14_color = _factory(ResNet, "color", 3, 2, 8)
resnet20_color = _factory(ResNet, "color", 3, 3, 8)
