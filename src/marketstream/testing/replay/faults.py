"""Faults by command, for one provider's clients or for everyone's."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from marketstream.ports import Clock
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.audience import Audience
from marketstream.testing.replay.dialect import Quota, Rules
from marketstream.testing.replay.dialects import PROVIDERS
from marketstream.testing.replay.fault_states import FaultStates
from marketstream.testing.replay.listener import Listener, Tally


@dataclass(slots=True, kw_only=True, eq=False)
class Faults(FaultStates):
    """What goes wrong, for as long as a field is set or once by a method.

    Methods concern the clients connected at the moment, and return how many.

    Attributes:
        provider: Whose clients; None for everyone's.
        audience: The connected clients.
        clock: Wall clock.
    """

    provider: str | None
    audience: Audience = field(repr=False)
    clock: Clock = field(repr=False)
    _resets: dict[str, asyncio.TimerHandle] = field(default_factory=dict, repr=False)

    def set_states(self, states: dict[str, Any], seconds: float | None = None) -> None:
        """Sets fields, for so many seconds if given; see `FaultStates`. A quota's is told to the connected clients.

        Raises:
            AttributeError: A name is none of the fields.
        """
        defaults = FaultStates()
        for name, value in states.items():
            if name not in defaults.states():
                raise AttributeError(f"{name} is no fault")
            if (reset := self._resets.pop(name, None)) is not None:
                reset.cancel()
            setattr(self, name, value)
            if seconds is not None:
                loop = asyncio.get_running_loop()
                self._resets[name] = loop.call_later(seconds, self._reset, name, getattr(defaults, name))
        if states.get("quota"):
            self.exhaust(states["quota"])

    def clear(self) -> None:
        """Nothing goes wrong any more; what is stalled goes on, what was lost or broken stays so."""
        for reset in self._resets.values():
            reset.cancel()
        self._resets.clear()
        FaultStates.clear(self)
        self.resume()

    def exhaust(self, quota: Quota) -> int:
        """Uses a quota up: connected clients are told, and the `quota` field is set, for who comes and for REST."""
        self.quota = quota
        return self._each(lambda listener: listener.refuse(quota))

    def inject(self, frame: str | bytes, *, text: bool = True) -> int:
        """Sends any frame."""
        return self._each(lambda listener: listener.inject(frame, text=text))

    def drop(self) -> int:
        """Breaks connections off, without a closing handshake."""
        return self._each(Listener.drop)

    def stall(self, seconds: float | None = None) -> int:
        """Sends nothing, answers and pongs included; after so many seconds, or at `resume`, all of it at once."""
        return self._each(lambda listener: listener.stall(seconds))

    def resume(self) -> int:
        """Ends stalls."""
        return self._each(Listener.resume)

    def half_open(self) -> int:
        """Leaves connections open, and neither reads from them nor writes to them again; new ones are well."""
        count = self._each(lambda listener: listener.connection.go_half_open())
        self.audience.change()
        return count

    def gap(self, trades: int, symbol: str | None = None) -> int:
        """Leaves out the next so many trades that each client would have been sent, of one symbol or of any."""
        return self._each(lambda listener: listener.lose(trades, symbol))

    def repeat(self, frames: int = 1) -> int:
        """Sends each client's last frames again."""
        return self._each(lambda listener: listener.repeat(frames))

    def garbage(self, frames: int = 1) -> int:
        """Sends malformed frames."""
        return self._each(lambda listener: listener.send_malformed(frames))

    def announce_stop(self) -> int:
        """Sends what a protocol says before it stops, and goes on."""
        now_us = self.clock.now_us()
        return self._each(lambda listener: listener.inject_all(listener.conversation.farewell(now_us)))

    def cancel(self, trade: MarketTrade) -> int:
        """Takes a trade back, where the protocol has a frame for it; returns how many clients were sent one."""
        told = 0
        for listener in self.audience.of(self.provider):
            frames = listener.conversation.cancelled(trade)
            listener.inject_all(frames)
            told += bool(frames)
        return told

    def _each(self, do: Callable[[Listener], object]) -> int:
        listeners = self.audience.of(self.provider)
        for listener in listeners:
            do(listener)
        return len(listeners)

    def _reset(self, name: str, value: object) -> None:
        del self._resets[name]
        setattr(self, name, value)


class FaultDesk:
    """The faults of everyone and of each provider, and what comes of both.

    Args:
        audience: The connected clients.
        clock: Wall clock.
        refused_keys: API keys that are no good at any time.

    Attributes:
        everyones: What goes wrong for all providers.
        tallies: What faults did, by provider.
    """

    def __init__(self, audience: Audience, clock: Clock, refused_keys: Sequence[str]) -> None:
        self.everyones = Faults(provider=None, audience=audience, clock=clock)
        self._own = {name: Faults(provider=name, audience=audience, clock=clock) for name in PROVIDERS}
        self._rules = {name: Rules(refused_keys=tuple(refused_keys)) for name in PROVIDERS}
        self.tallies = {name: Tally() for name in PROVIDERS}

    def of(self, provider: str | None) -> Faults:
        """What goes wrong for one provider alone, or for all.

        Raises:
            KeyError: No provider has this name.
        """
        return self.everyones if provider is None else self._own[provider]

    def states(self, provider: str) -> FaultStates:
        """What goes wrong for a provider at present, in all."""
        return FaultStates.both(self.everyones, self._own[provider])

    def rules(self, provider: str) -> Rules:
        """Who is let in to a provider at present; always the same object."""
        states, rules = self.states(provider), self._rules[provider]
        rules.refuse_all_keys = states.refuse_auth
        rules.quota = states.quota
        rules.retry_after_seconds = states.retry_after_seconds
        return rules

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        for faults in (self.everyones, *self._own.values()):
            faults.clear()
