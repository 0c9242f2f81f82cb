"""The denoising autoencoder in front of the classifier."""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from gratis.settings import Settings

# Height and width are halved twice, so they are padded to a multiple of this.
MULTIPLE = 4


class DenoiserSettings(Settings):
    """The size of the denoiser.

    Attributes:
        width: the channels at half resolution; there are twice as many at quarter resolution.
        skip: whether it predicts what to add to the image. Default: it does. Without that, it
            predicts the image, and does not start as the identity.
    """

    width: Annotated[int, Field(gt=0)] = 16
    # No boolean default: it would change the identity of runs from before this setting.
    skip: bool | None = None


class Denoiser(nn.Module):
    """A small convolutional autoencoder from perturbed images to images.

    It is cheap because it works at half and quarter resolution, and predicts what to add to the
    image. The last layer starts at zero: training begins with the identity, so that a pretrained
    classifier gets the images that it knows. Without ``skip`` it predicts the image itself.
    """

    def __init__(self, settings: DenoiserSettings) -> None:
        """Build the layers."""
        super().__init__()
        width = settings.width
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(2 * width, 4 * width, 3, padding=1),
            nn.PixelShuffle(2),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )
        self._skip = settings.skip is not False
        if self._skip:
            last = self.decoder[3]
            nn.init.zeros_(last.weight)  # type: ignore[arg-type]
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Return the denoised images, of the shape (n, 3, height, width) of ``images``.

        Values may be slightly outside [0, 1], since clipping would stop the gradient.
        """
        height, width = images.shape[-2:]
        below, right = -height % MULTIPLE, -width % MULTIPLE
        padded = images
        if below or right:
            padded = functional.pad(images, (0, right, 0, below), mode="replicate")
        decoded: Tensor = self.decoder(self.encoder(padded))
        decoded = decoded[..., :height, :width]
        return images + decoded if self._skip else decoded
