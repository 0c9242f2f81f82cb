"""Networks by name: timm's own, those of a folder or of the hub in timm's format, a function's."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from gratis.errors import GratisError, file_error, printable
from gratis.model.hub import missing
from gratis.settings import did_you_mean

Origin = Literal["timm", "local-dir", "hf-hub", "function"]

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
# The files of weights in a folder or repository of timm's format, the preferred one first.
_FILES = ("model.safetensors", "pytorch_model.bin", "model.pth")


@dataclass(frozen=True)
class Architecture:
    """An architecture that a name stands for.

    Attributes:
        name: a name in ``timm.list_models()``; ``local-dir:PATH`` or ``hf-hub:USER/NAME``, whose
            ``config.json`` names a timm model; or ``package.module:function``.
    """

    name: str

    @property
    def origin(self) -> Origin:
        """Where the architecture comes from."""
        if self.name.startswith("local-dir:"):
            return "local-dir"
        if self.name.startswith("hf-hub:"):
            return "hf-hub"
        return "function" if _FUNCTION.fullmatch(self.name) else "timm"

    @property
    def place(self) -> str:
        """The folder or the name on the hub."""
        return self.name.partition(":")[2]

    @cached_property
    def config(self) -> Any:
        """The configuration that timm has for it, with ``mean``, ``std`` and ``input_size``."""
        import timm

        name, config, _ = self._resolved
        if not timm.is_model(name):
            hint = did_you_mean(name, timm.list_models())
            raise GratisError(printable(f"timm has no model {name!r}{hint[:200]}"))
        known = timm.get_pretrained_cfg(name)
        return ({} if known is None else known.to_dict()) | (config or {})

    @cached_property
    def _resolved(self) -> tuple[str, dict[str, Any] | None, dict[str, Any]]:
        """The name of timm's model, the configuration beside its weights, and its arguments."""
        from timm.models import _hub  # the readers of timm's format are in no public module

        if self.origin == "timm":
            return self.name, None, {}
        try:
            if self.origin == "local-dir":
                folder = Path(self.place).expanduser()
                config, name, arguments = _hub.load_model_config_from_path(folder)
            elif problem := missing(self.place, ("config.json",)):
                raise ConnectionError(problem)
            else:
                config, name, arguments = _hub.load_model_config_from_hf(self.place)
        except Exception as error:
            raise self._unreadable(error) from error
        return name, config, arguments or {}

    def _unreadable(self, error: Exception) -> GratisError:
        problem = f"{type(error).__name__}: {error}"[:200]
        if self.origin == "local-dir":
            remedy = "name a folder with config.json and model.safetensors, as timm saves it"
            return file_error(Path(self.place), f"is no folder of timm's ({problem})", remedy)
        remedy = "name a local folder as local-dir:PATH, or a timm model with a file of weights"
        return GratisError(printable(f"{self.name}: cannot be downloaded ({problem}); {remedy}"))

    @property
    def in_timm(self) -> tuple[str, dict[str, Any]]:
        """The name of timm's model, and the arguments that it is created with."""
        name, _, arguments = self._resolved
        return name, dict(arguments)

    @property
    def fixed_size(self) -> int | None:
        """Height and width of the only input that it takes; ``None`` if it takes others."""
        if self.origin == "function" or not self.config.get("fixed_input_size"):
            return None
        return int(self._resolved[2].get("img_size") or self.config["input_size"][-1])

    def build(self, classes: int, size: int | None = None, **options: Any) -> nn.Module:
        """Return the network with random weights.

        Args:
            classes: the number of its outputs; with 0 it returns features.
            size: the height and width in pixels of its input, where it takes only one size.
            options: other arguments of ``timm.create_model``.
        """
        import timm

        name, config, arguments = self._resolved
        fixed = self.fixed_size
        if fixed is not None:
            options["img_size"] = size or fixed
        if config is not None:
            options["pretrained_cfg"] = config
        every: Any = arguments | options | {"num_classes": classes}
        try:
            return timm.create_model(name, pretrained=False, **every)
        except Exception as error:
            if fixed is None or size is None:
                raise
            problem = f"cannot be built for images of {size} px ({error})"
            remedy = f"use another input size; it was made for {fixed}"
            raise GratisError(printable(f"{self.name}: {problem}; {remedy}")) from error

    def own_weights(self) -> Path | None:
        """Return the file of weights that comes with a folder or a name on the hub."""
        if self.origin == "local-dir":
            folder = Path(self.place).expanduser()
            found = next((folder / f for f in _FILES if (folder / f).is_file()), None)
            if found is None:
                raise file_error(folder, f"holds no weights ({', '.join(_FILES)})")
            return found
        return self._downloaded() if self.origin == "hf-hub" else None

    def _downloaded(self) -> Path:
        if absent := missing(self.place, _FILES):
            raise self._unreadable(ConnectionError(absent))
        from huggingface_hub.errors import EntryNotFoundError
        from timm.models import _hub

        problem: Exception = FileNotFoundError(", ".join(_FILES))
        for file in _FILES:
            try:
                return Path(_hub.download_from_hf(self.place, file))
            except EntryNotFoundError as error:
                problem = error
            except Exception as error:
                raise self._unreadable(error) from error
        raise self._unreadable(problem)

    def downloaded_weights(self) -> dict[str, Tensor]:
        """Return the weights that timm downloads, or has in its cache."""
        import timm

        repository = self.config.get("hf_hub_id")
        if repository and (problem := missing(str(repository), _FILES)):
            raise self._not_downloaded(problem)
        try:
            network = timm.create_model(self.name, pretrained=True)
        except Exception as error:
            raise self._not_downloaded(type(error).__name__) from error
        return dict(network.state_dict())

    def _not_downloaded(self, problem: str) -> GratisError:
        return GratisError(
            printable(
                f"model.pretrained: timm's weights for {self.name} cannot be downloaded "
                f"({problem[:200]}); use a local file with model.weights=FILE, or train from "
                "scratch with model.pretrained=false"
            )
        )
