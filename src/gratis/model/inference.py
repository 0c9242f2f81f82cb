"""A trained classifier as a plain module: images in [0, 1] to logits."""

from torch import Tensor, nn

from gratis.model.classifier import Classifier


class InferenceModel(nn.Module):
    """A trained classifier in evaluation mode.

    Attributes:
        classes: the name of each class, in the order of the logits.
        image_size: height and width in pixels of the images that it was trained on; other sizes
            work too.
        resize: how image files that are not square were made so, as in
            :class:`gratis.data.Preparation`.
        white_level: the value of white in greys of more than 8 bits; ``None`` is the default.
    """

    def __init__(
        self,
        classifier: Classifier,
        classes: tuple[str, ...],
        image_size: int,
        resize: str = "crop",
        white_level: float | None = None,
    ) -> None:
        """Wrap ``classifier``."""
        super().__init__()
        self.classifier, self.classes, self.image_size = classifier, classes, image_size
        self.resize, self.white_level = resize, white_level
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (n, classes) of images (n, 3, height, width) in [0, 1]."""
        logits: Tensor = self.classifier(images).logits
        return logits
