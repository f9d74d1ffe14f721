"""The engine of another process, as if it were in this one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count

from flash_ls.deadline import Deadline, Spent
from flash_ls.engine.decode import Generation, GenerationParams
from flash_ls.engine.tokenizer import Tokenizer
from flash_ls.errors import Cancelled, EngineLost, ModelError
from flash_ls.shared import messages
from flash_ls.shared.channel import SILENCE_S, Channel

log = logging.getLogger(__name__)

Connect = Callable[[Callable[[], object]], tuple[Channel[messages.ToServer], messages.Hello]]


class RemoteEngine:
    """See `Engine`. Connects when it has to; one thread owns it."""

    def __init__(self, connect: Connect, tokenizer: Tokenizer) -> None:
        """`connect` finds the process or starts one."""
        self.tokenizer = tokenizer
        self.precision = ""
        self._connect = connect
        self._channel: Channel[messages.ToServer] | None = None
        self._pid = 0
        self._numbers = count(1)

    def generate(self, prompt: list[int], params: GenerationParams, deadline: Deadline) -> Generation:
        """See `Engine.generate`. Raises `EngineLost` too: the next request starts another process."""
        ask = partial(
            messages.Generate,
            prompt=prompt,
            max_tokens=params.max_tokens,
            stop_ids=params.stop_ids,
            healed=params.healed,
            forced=params.forced,
            least_likelihood=params.least_likelihood,
        )
        answer = self._answer(ask, deadline, params.complete)
        assert isinstance(answer, messages.Generated)
        return answer.generation

    def warm(self, prompt: list[int], deadline: Deadline) -> None:
        """See `Engine.warm`. Raises `EngineLost` too."""
        self._answer(partial(messages.Warm, prompt=prompt), deadline)

    def missing(self, prompt: list[int]) -> int:
        """See `Engine.missing`. Raises `EngineLost` too."""
        answer = self._answer(partial(messages.Missing, prompt=prompt), Deadline())
        assert isinstance(answer, messages.Counted)
        return answer.tokens

    def connect(self, check: Callable[[], object]) -> None:
        """Be connected. Raises `ModelError` if there can be no process, and what `check` raises while it waits."""
        if self._channel is not None and self._channel.has_more(0):
            self.close()  # nothing was asked, so that is its end
        if self._channel is None:
            self._channel, hello = self._connect(check)
            self._pid, self.precision = hello.pid, hello.precision

    def close(self) -> None:
        """Leave the process to the others."""
        if self._channel is not None:
            self._channel.close()
        self._channel = None

    def _answer(
        self,
        request: Callable[..., messages.Request],
        deadline: Deadline,
        enough: Callable[[str], bool] = lambda text: True,
    ) -> messages.Answer:
        """Raises `Cancelled`, `ModelError` and `EngineLost`."""
        began = time.monotonic()
        self.connect(deadline.check)
        deadline.prolong(time.monotonic() - began)
        assert self._channel is not None
        number = next(self._numbers)
        asked = request(number=number, budget_ms=deadline.remaining_ms, gives_way=deadline.gives_way)
        cancel, release = (partial(self._tell, kind(number)) for kind in (messages.Cancel, messages.Release))
        with deadline.interrupting(cancel, release):
            answer = self._asked(self._channel, asked, enough, deadline.spent)
        if isinstance(answer, messages.Cancelled):
            raise Cancelled("the request was cancelled")
        if isinstance(answer, messages.Failed):
            raise ModelError(answer.sentence)
        return answer

    def _asked(
        self,
        channel: Channel[messages.ToServer],
        request: messages.Request,
        enough: Callable[[str], bool],
        spent: Spent,
    ) -> messages.Answer:
        try:
            self._send(channel, request)
            message = self._receive(channel)
            while isinstance(message, messages.Text | messages.Cost):
                if isinstance(message, messages.Cost):
                    spent.add(message.spent)
                else:
                    self._send(channel, messages.Enough(enough(message.text)))
                message = self._receive(channel)
        except BaseException:
            self.close()  # it is lost, or waits for a verdict that will not come
            raise
        assert not isinstance(message, messages.Hello | messages.Pong)
        return message

    def _send(self, channel: Channel[messages.ToServer], message: messages.Message) -> None:
        with _losing():
            channel.send(message)

    def _receive(self, channel: Channel[messages.ToServer]) -> messages.ToServer:
        with _losing():
            return self._await(channel)

    def _tell(self, message: messages.Cancel | messages.Release) -> None:
        """From any thread."""
        if (channel := self._channel) is not None:
            with suppress(OSError):  # the thread that waits for an answer notices
                channel.send(message)

    def _await(self, channel: Channel[messages.ToServer]) -> messages.ToServer:
        """The next message but `Pong`. Raises `OSError`, `EOFError` and `ValueError`; kills a process that is stuck."""
        message: messages.ToServer = messages.Pong()
        while isinstance(message, messages.Pong):
            if not channel.has_more(SILENCE_S):
                channel.send(messages.Ping())
                channel.await_or_kill(self._pid)
            message = channel.receive()
        return message


@contextmanager
def _losing() -> Iterator[None]:
    """Turns the ways in which a connection ends into `EngineLost`."""
    try:
        yield
    except (OSError, EOFError, ValueError) as error:
        log.warning("The model's process is lost (%(error)s); the next request starts another.", {"error": error})
        raise EngineLost("The model's process has ended; the next request starts another.") from error
