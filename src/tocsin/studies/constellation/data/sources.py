"""The source that the settings name."""

from __future__ import annotations

import torch

from tocsin.studies.constellation.config.data import Data
from tocsin.studies.constellation.config.view import View
from tocsin.studies.constellation.data.generated import Frames
from tocsin.studies.constellation.data.recorded import Recorded
from tocsin.studies.constellation.data.source import Source


def source_of(data: Data, device: torch.device | str = "cpu", view: View | None = None) -> Source:
    """Generated frames, or those of a file.

    Raises:
        StudyError: The file is missing or another, or has too few frames.
    """
    return Frames(data, device, view) if data.radioml is None else Recorded(data, device, view)
