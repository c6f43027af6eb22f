"""How much memory do the images between the layers need, and where does each lie? One arena, no malloc.

Each value lives from the operation that writes it to the last one that reads it. No plan needs less than the most bytes that live at
one time. Source: Pisarchyk and Lee 2020, greedy by size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from posttrain_lab.arguments import check_count

from .program import IntegerProgram, Operation

ALIGNMENT = 8


@dataclass(frozen=True)
class MemoryStep:
    """One step of a network: the name of what it writes and its bytes, the names of what it reads, its scratch bytes.

    The first step reads nothing: it is the input. bytes 0: another name for what it reads (a Flatten).
    """

    name: str
    bytes: int
    reads: tuple[str, ...] = ()
    scratch: int = 0


@dataclass(frozen=True)
class Buffer:
    """So many bytes, written at step `first`, last read at step `last`; `offset` in the arena, -1 before it is placed."""

    bytes: int
    first: int
    last: int
    name: str = ""
    offset: int = -1

    def meets(self, other: "Buffer") -> bool:
        """Do both live at one time? The step that last reads the one may write the other, so touching counts."""
        return self.first <= other.last and other.first <= self.last


def lifetimes(steps: Sequence[MemoryStep]) -> list[Buffer]:
    """From which step to which does each buffer live? One for each step that writes bytes, and one for its scratch.

    Steps are counted from 0, the input. The result of the last step lives to the end.
    Raises ValueError for a name that is read before it is written, or written twice.

    >>> lifetimes([MemoryStep("x", 4), MemoryStep("y", 8, ("x",))])
    [Buffer(bytes=4, first=0, last=1, name='x', offset=-1), Buffer(bytes=8, first=1, last=1, name='y', offset=-1)]
    """
    buffers: dict[str, Buffer] = {}
    scratch: list[Buffer] = []
    owner: dict[str, str] = {}
    for time, step in enumerate(steps):
        unknown = [name for name in step.reads if name not in owner]
        if unknown or step.name in owner:
            raise ValueError(
                f"lifetimes wants each name written once, and before it is read; see '{(unknown or [step.name])[0]}'."
            )
        for name in step.reads:
            buffers[owner[name]] = replace(buffers[owner[name]], last=time)
        owner[step.name] = owner[step.reads[0]] if not step.bytes and step.reads else step.name
        if owner[step.name] == step.name:
            buffers[step.name] = Buffer(step.bytes, time, time, step.name)
        if step.scratch:
            scratch.append(Buffer(step.scratch, time, time, f"scratch of {step.name}"))
    if steps:
        result = owner[steps[-1].name]
        buffers[result] = replace(buffers[result], last=len(steps) - 1)
    return [*buffers.values(), *scratch]


def peak(buffers: Sequence[Buffer]) -> int:
    """The most bytes that live at one time: no plan needs less.

    >>> peak([Buffer(4, 0, 1), Buffer(8, 1, 2), Buffer(2, 2, 2)])
    12
    """
    return max(
        (sum(one.bytes for one in buffers if one.first <= time <= one.last) for time in {b.first for b in buffers}), default=0
    )


def place(buffers: Sequence[Buffer], alignment: int = 1) -> list[int]:
    """An offset for each buffer, so that none that live at one time overlap: the largest first, each as low as it fits.

    Offsets are multiples of `alignment`. Raises ValueError unless it is at least 1.

    >>> place([Buffer(4, 0, 1), Buffer(8, 1, 2), Buffer(2, 2, 3)])
    [8, 0, 8]
    """
    check_count("place", "alignment", alignment, 1)
    offsets: dict[int, int] = {}
    for number in sorted(range(len(buffers)), key=lambda one: -buffers[one].bytes):
        neighbours = sorted((offsets[one], buffers[one].bytes) for one in offsets if buffers[one].meets(buffers[number]))
        offset = 0
        for start, size in neighbours:
            if offset + buffers[number].bytes <= start:
                break
            offset = max(offset, -(-(start + size) // alignment) * alignment)
        offsets[number] = offset
    return [offsets[number] for number in range(len(buffers))]


@dataclass(frozen=True)
class MemoryPlan:
    """Where everything lies: the offset of each value of the program, and of the scratch bytes of each operation (-1: none)."""

    values: tuple[int, ...]
    scratch: tuple[int, ...]
    buffers: tuple[Buffer, ...]

    @property
    def arena(self) -> int:
        """The bytes of the arena."""
        return max(one.offset + one.bytes for one in self.buffers)

    @property
    def without_reuse(self) -> int:
        """The bytes that all buffers would need side by side."""
        return sum(one.bytes for one in self.buffers)


def plan_memory(program: IntegerProgram, budget: int | None = None) -> MemoryPlan:
    """Place all values of a program in one arena; an operation may write over an input that is read for the last time.

    That saves memory at once, and keeps a large buffer for a small value later: the best of three plans is taken, which do so
    always, for results of the same size, and never.
    Raises ValueError when the arena is larger than `budget` bytes, naming the largest buffers.
    """
    plan = min((_plan(program, share) for share in (0.0, 1.0, 2.0)), key=lambda one: one.arena)
    if budget is not None and plan.arena > budget:
        most = ", ".join(f"{one.name} {one.bytes}" for one in sorted(plan.buffers, key=lambda one: -one.bytes)[:3])
        raise ValueError(
            f"the network needs an arena of {plan.arena} bytes, the budget is {budget}; the largest parts are {most}."
        )
    return plan


def _plan(program: IntegerProgram, share: float) -> MemoryPlan:
    """The plan in which results of at least this share of an input's bytes are written over it."""
    owner = _owners(program, share)
    steps = [MemoryStep("0", program.values[0].bytes)]
    for operation in program.operations:
        own = owner[operation.output] == operation.output
        size = program.values[operation.output].bytes if own else 0
        steps.append(MemoryStep(str(operation.output), size, _reads(owner, operation), scratch_bytes(program, operation)))
    found = [replace(one, bytes=-(-one.bytes // ALIGNMENT) * ALIGNMENT) for one in lifetimes(steps)]
    buffers = [replace(one, offset=offset) for one, offset in zip(found, place(found, ALIGNMENT), strict=True)]
    offsets = {one.name: one.offset for one in buffers}
    return MemoryPlan(
        tuple(offsets.get(str(owner[number]), -1) for number in range(len(program.values))),
        tuple(offsets.get(f"scratch of {operation.output}", -1) for operation in program.operations),
        tuple(replace(one, name=_readable(program, one.name)) for one in buffers),
    )


def _readable(program: IntegerProgram, name: str) -> str:
    number = int(name.rpartition(" ")[2])
    return name[: len(name) - len(str(number))] + program.values[number].name


def _reads(owner: list[int], operation: Operation) -> tuple[str, ...]:
    """The inputs, the one that is written over first."""
    return tuple(str(one) for one in sorted(operation.inputs, key=lambda one: owner[one] != owner[operation.output]))


def _owners(program: IntegerProgram, share: float) -> list[int]:
    """For each value the one whose memory it uses."""
    readers = [0] * len(program.values)
    for number, operation in enumerate(program.operations, 1):
        for one in operation.inputs:
            readers[one] = number
    owner, last = list(range(len(program.values))), list(readers)
    for number, operation in enumerate(program.operations, 1):
        size = program.values[operation.output].bytes
        for one in operation.inputs:
            behind = _writes_behind(program, operation, one) and size >= share * program.values[one].bytes
            if behind and last[owner[one]] == number:
                owner[operation.output] = owner[one]
                last[owner[one]] = readers[operation.output] or len(program.operations) + 1
                break
    return owner


def _writes_behind(program: IntegerProgram, operation: Operation, one: int) -> bool:
    """Is every code written where all that will still be read lies further on? Pixel by pixel, channel by channel."""
    small = program.values[operation.output].bits <= program.values[one].bits
    return small and operation.kind not in ("conv", "average") and not any(operation.window.pads)


def scratch_bytes(program: IntegerProgram, operation: Operation) -> int:
    """What one operation needs while it runs: a copy of a window, and the best sums of a fused pooling."""
    if operation.kind != "conv":
        return 0
    best = 4 * program.values[operation.output].shape[2] if operation.pool != (1, 1) else 0
    return best + (
        0
        if reads_in_place(program, operation)
        else -(-operation.window.count * program.values[operation.inputs[0]].shape[2] // 4) * 4
    )


def reads_in_place(program: IntegerProgram, operation: Operation) -> bool:
    """Does each window lie in one piece in the image? One pixel, or the whole image in one group; without padding."""
    whole = operation.window.kernel == program.values[operation.inputs[0]].shape[:2] and operation.groups == 1
    plain = operation.window.dilation == (1, 1) and not any(operation.window.pads)
    return plain and (operation.window.kernel == (1, 1) or whole)
