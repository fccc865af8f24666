"""Which of a provider's channels are subscribed to."""

from collections.abc import Sequence

from marketstream.ports import Capabilities, Channel


def chosen_channels(wanted: Sequence[Channel], capabilities: Capabilities) -> frozenset[Channel]:
    """What is wanted and there is; of a provider that has none of it, its bars, else its quotes."""
    chosen = capabilities.channels.intersection(wanted)
    if chosen:
        return chosen
    fallback: Channel = "bars" if "bars" in capabilities.channels else "quotes"
    return capabilities.channels & {fallback}
