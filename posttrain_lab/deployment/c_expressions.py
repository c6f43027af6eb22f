"""The words of a C text, and its expressions: each becomes a function of no argument that computes it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from .c_types import CONSTANTS, INT, TYPES, CError, Kind, binary, common, promoted

TOKEN = re.compile(
    r"(?P<space>\s+|//[^\n]*|/\*.*?\*/|\#include[^\n]*)|(?P<number>(?:0[xX][0-9a-fA-F]+|\d+)[uUlL]*)(?![\w.])"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<sign><<=|>>=|[-+*/%&|^<>=!]=|<<|>>|&&|\|\||\+\+|--|[-+*/%&|^~!<>=?:;,(){}\[\]])",
    re.DOTALL,
)
LEVELS = ("||", "&&", "|", "^", "&", "== !=", "< > <= >=", "<< >>", "+ -", "* / %")
LONGEST = 600_000
OTHER_TYPES = {name: "; whole numbers only" for name in ("float", "double")} | {
    name: "; how wide it is depends on the machine" for name in ("long", "short", "unsigned", "signed", "size_t")
}
Run = Callable[[], int]


@dataclass
class Variable:
    """A variable or an array; None is a number that was never written."""

    kind: Kind
    values: list[int | None] = field(default_factory=lambda: [None])
    const: bool = False
    array: bool = False


@dataclass(frozen=True)
class CValue:
    """A part of an expression: its type, how it is computed, and how it is written, if it can be."""

    kind: Kind
    get: Run
    put: Callable[[int], None] | None = None


def tokens_of(text: str) -> list[tuple[str, str, int]]:
    """(kind, text, line) of each token."""
    if len(text) > LONGEST:
        raise CError(f"a text of {len(text):,} characters; {LONGEST:,} are read")
    found, at, line = [], 0, 1
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise CError(f"{text[at : at + 12].split()[0]!r} in line {line}, which is not read here")
        if match.lastgroup != "space":
            found.append((str(match.lastgroup), match[0], line))
        line, at = line + match[0].count("\n"), match.end()
    return found


def chain(first: Run, rest: list[tuple[Callable[[int, int], int], Run]]) -> Run:
    """first, combined with one operand after the other: a sum of thousands of products is no deeper than one of two."""
    if len(rest) == 1:
        compute, second = rest[0]
        return lambda: compute(first(), second())

    def run() -> int:
        value = first()
        for compute, get in rest:
            value = compute(value, get())
        return value

    return run


class Expressions:
    """Reads expressions from a list of tokens, from the first to the last; names are looked up in the innermost scope."""

    def __init__(self, text: str) -> None:
        self.tokens = [*tokens_of(text), ("end", "the end", text.count("\n") + 1)]
        self.at, self.work = 0, 0
        self.scopes: list[dict[str, Variable]] = [{}]

    # ---- tokens
    @property
    def next(self) -> str:
        return self.tokens[self.at][1]

    def accept(self, *wanted: str) -> str:
        """The next token if it is one of these, else ""."""
        if self.next not in wanted:
            return ""
        self.at += 1
        return self.tokens[self.at - 1][1]

    def want(self, wanted: str) -> None:
        if not self.accept(wanted):
            raise self.error(f"'{wanted}' was expected, {self.next!r} found")

    def name(self) -> str:
        kind, text, _ = self.tokens[self.at]
        if kind != "name" or text in TYPES:
            raise self.error(f"a name was expected, {text!r} found")
        self.at += 1
        return text

    def error(self, words: str) -> CError:
        return CError(f"{words} in line {self.tokens[self.at][2]}")

    def type(self) -> Kind:
        if self.next not in TYPES:
            raise self.error(f"a type such as int32_t was expected, {self.next!r} found{OTHER_TYPES.get(self.next, '')}")
        return TYPES[self.accept(*TYPES)]

    # ---- expressions
    def expression(self) -> CValue:
        """An assignment or anything that binds tighter; several, separated by commas, have the value of the last."""
        first = self.assignment()
        while self.accept(","):
            first = self.sequence(first, self.assignment())
        return first

    def sequence(self, first: CValue, second: CValue) -> CValue:
        return CValue(second.kind, lambda: (first.get(), second.get())[1])

    def assignment(self) -> CValue:
        target = self.conditional()
        sign = self.accept("=", *(f"{one}=" for one in ("+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>")))
        if not sign:
            return target
        if target.put is None:
            raise self.error("the left side of an assignment cannot be written (is it const?)")
        right = self.assignment()
        value = right if sign == "=" else self.joined(sign[:-1], target, right)
        return self.stored(target, value)

    def stored(self, target: CValue, value: CValue) -> CValue:
        put, get, of = target.put, value.get, target.kind.of
        assert put is not None

        def run() -> int:
            result = of(get())
            put(result)
            return result

        return CValue(target.kind, run)

    def conditional(self) -> CValue:
        test = self.level(0)
        if not self.accept("?"):
            return test
        yes = self.expression()
        self.want(":")
        no = self.conditional()
        kind = common(yes.kind, no.kind)
        return CValue(kind, lambda: kind.of(yes.get()) if test.get() else kind.of(no.get()))

    def level(self, number: int) -> CValue:
        """Operators of one level of binding, from left to right."""
        if number == len(LEVELS):
            return self.unary()
        left = self.level(number + 1)
        while LEVELS[number] in ("||", "&&") and (sign := self.accept(LEVELS[number])):
            left = self.joined(sign, left, self.level(number + 1))
        kind, rest = left.kind, list[tuple[Callable[[int, int], int], Run]]()
        while sign := self.accept(*LEVELS[number].split()):
            right = self.level(number + 1)
            kind, compute = binary(sign, kind, right.kind)
            rest.append((compute, right.get))
        return CValue(kind, chain(left.get, rest)) if rest else left

    def joined(self, sign: str, left: CValue, right: CValue) -> CValue:
        first, second = left.get, right.get
        if sign == "&&":
            return CValue(INT, lambda: int(bool(first()) and bool(second())))
        if sign == "||":
            return CValue(INT, lambda: int(bool(first()) or bool(second())))
        kind, compute = binary(sign, left.kind, right.kind)
        return CValue(kind, lambda: compute(first(), second()))

    def unary(self) -> CValue:
        if sign := self.accept("++", "--"):
            return self.step(self.unary(), sign[0], after=False)
        if sign := self.accept("+", "-", "~", "!"):
            inner = self.unary()
            get, kind = inner.get, INT if sign == "!" else promoted(inner.kind)
            compute = {"+": lambda v: v, "-": lambda v: kind.inside(-v), "~": lambda v: kind.of(~v), "!": lambda v: int(not v)}[
                sign
            ]
            return CValue(kind, lambda: compute(get()))
        if self.next == "(" and self.tokens[self.at + 1][1] in TYPES:
            self.want("(")
            cast = self.type()
            self.want(")")
            get = self.unary().get
            return CValue(cast, lambda: cast.of(get()))
        value = self.primary()
        while sign := self.accept("++", "--"):
            value = self.step(value, sign[0], after=True)
        return value

    def step(self, target: CValue, sign: str, after: bool) -> CValue:
        if target.put is None:
            raise self.error("++ or -- of what cannot be written")
        stored = self.stored(target, self.joined(sign, target, CValue(INT, lambda: 1)))
        return CValue(target.kind, lambda: (target.get(), stored.get())[0] if after else stored.get())

    def primary(self) -> CValue:
        kind, text, _ = self.tokens[self.at]
        if self.accept("("):
            inner = self.expression()
            self.want(")")
            return inner
        if kind == "number":
            return self.number()
        if text in CONSTANTS:
            self.at += 1
            width, number = CONSTANTS[text]
            return CValue(width, lambda: number)
        return self.variable(self.name())

    def number(self) -> CValue:
        text = self.tokens[self.at][1].lower()
        self.at += 1
        digits = text.rstrip("ul")
        try:
            number = int(digits[:80], 16 if digits.startswith("0x") else 8 if digits.startswith("0") and digits != "0" else 10)
        except ValueError:
            raise self.error(f"{digits[:20]} is no number") from None
        signed = "u" not in text
        wide = "ll" in text or number >= 1 << (32 - signed)
        kind = Kind(64 if wide else 32, signed)
        kind.inside(number)
        return CValue(kind, lambda: number)

    def variable(self, name: str) -> CValue:
        found = next((scope[name] for scope in reversed(self.scopes) if name in scope), None)
        if self.next == "(":
            raise self.error(f"a call of {name}; no calls are read here")
        if found is None:
            raise self.error(f"{name} is not declared")
        if not found.array:
            return self.element(found, name, lambda: 0)
        self.want("[")
        at = self.expression().get
        self.want("]")
        return self.element(found, f"{name}[]", at)

    def element(self, found: Variable, name: str, at: Run) -> CValue:
        def place() -> int:
            index = at()
            if not 0 <= index < len(found.values):
                raise CError(f"{name} is used outside of its {len(found.values)} numbers, at {index}")
            return index

        def get() -> int:
            value = found.values[place()]
            if value is None:
                raise CError(f"{name} is read before it is written")
            return value

        def put(value: int) -> None:
            found.values[place()] = value

        return CValue(found.kind, get, None if found.const else put)
