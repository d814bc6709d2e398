"""What some mistakes are made with: an SNR that is answered whatever the modulation."""

from __future__ import annotations

from tocsin.studies.constellation.config import Config, Network


def with_one_snr_head(config: Config) -> Config:
    """The configuration with factored heads, where it has an SNR for each modulation."""
    if config.network.task == "factored":
        return config
    network = Network(**{**dict(config.network), "task": "factored"})
    return config.model_copy(update={"network": network})
