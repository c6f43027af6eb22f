"""Read and run a small part of C, without a compiler: constant arrays, and one function of whole numbers, loops and conditions.

It stands in for gcc where a text must be judged that nobody has looked at: nothing of it is ever run by the machine itself, and what C
leaves open is an error: a result outside of its type, a read outside of an array or before a write. A plain `char` is unsigned, as on
Arm. There are no function calls, pointers (but for the parameters) and floats.
"""

from collections.abc import Callable, Sequence

from .c_expressions import LONGEST, OTHER_TYPES, Expressions, Run, Variable
from .c_types import TYPES, CError, Kind

__all__ = ["CError", "read_c"]

WORK = 6_000_000  # tokens that the loops of one call may pass, and numbers of arrays that they may make: a hostile text ends too
TURN = 20  # what a turn costs without its tokens
Statement = Callable[[], str]  # how it ends: "", "break", "continue" or "return"


def read_c(text: str, name: str) -> Callable[[Sequence[int], int], list[int]]:
    """The function `void name(const int8_t *x, int8_t *y)` of a text, as a function of the codes x and the number of outputs.

    Raises CError, with the line where one can be named, for what is not read here; what it returns raises it for what C leaves open.

    >>> double = read_c("void f(const int8_t *x, int8_t *y) { for (int i = 0; i < 2; i++) y[i] = x[i] * 2; }", "f")
    >>> double([3, -4], 2)
    [6, -8]
    """
    try:
        reader = CReader(text)
        x, y, body = reader.file(name)
    except RecursionError:
        raise CError("brackets in brackets, too deep") from None

    def run(codes: Sequence[int], outputs: int) -> list[int]:
        x.values = [int(code) for code in codes]
        y.values = [None for _ in range(outputs)]
        reader.work = 0
        try:
            body()
        except RecursionError:
            raise CError("brackets in brackets, too deep") from None
        if None in y.values:
            raise CError(f"y[{y.values.index(None)}] is never written")
        return [value for value in y.values if value is not None]

    return run


class CReader(Expressions):
    """Reads declarations and statements as well, and turns each into a function that runs it."""

    # ---- declarations
    def file(self, wanted: str) -> tuple[Variable, Variable, Statement]:
        """The parameters x and y, and the body of the function."""
        found = None
        while self.next != "the end":
            start = self.at
            while self.accept("static", "inline", "extern"):
                pass
            if self.next != "void":
                self.at = start
                self.declaration()
                continue
            if found:
                raise self.error("one function is read, a second begins")
            found = self.function(wanted)
        if not found:
            raise CError(f"there is no function void {wanted}(const int8_t *x, int8_t *y)")
        return found

    def function(self, wanted: str) -> tuple[Variable, Variable, Statement]:
        self.want("void")
        if (name := self.name()) != wanted:
            raise self.error(f"the function is called {name}, not {wanted},")
        self.want("(")
        self.scopes.append({})
        x = self.parameter()
        self.want(",")
        y = self.parameter()
        self.want(")")
        if (x.kind, x.const, y.const) != (Kind(8), True, False) or y.kind != Kind(8):
            raise self.error("the parameters are const int8_t *x and int8_t *y, others found")
        body = self.block()
        self.scopes.pop()
        return x, y, body

    def parameter(self) -> Variable:
        const = bool(self.accept("const"))
        kind = self.type()
        self.want("*")
        return self.declare(self.name(), Variable(kind, const=const, array=True))

    def declare(self, name: str, variable: Variable) -> Variable:
        self.scopes[-1][name] = variable
        return variable

    def declaration(self) -> Statement:
        """[static] [const] type name [= value], name[size] = {values}, ...; what is left to do when it is reached."""
        const, kinds = False, [""]
        while word := self.accept("static", "const"):
            const, kinds = const or word == "const", [*kinds, word]
        kind = self.type()
        const = bool(self.accept("const")) or const
        starts = [self.declarator(kind, const, "static" in kinds or len(self.scopes) == 1)]
        while self.accept(","):
            starts.append(self.declarator(kind, const, "static" in kinds or len(self.scopes) == 1))
        self.want(";")

        def run() -> str:
            for start in starts:
                start()
            return ""

        return run

    def declarator(self, kind: Kind, const: bool, once: bool) -> Callable[[], None]:
        if self.next == "*":
            raise self.error("a pointer, which is not read here; write array[index],")
        name = self.name()
        if self.accept("["):
            return self.array(kind, const, name)
        if once and not const:
            raise self.error(f"{name} lacks const, so it lies in RAM; const keeps it in flash;")
        variable = Variable(kind, const=const)
        start = self.conditional() if self.accept("=") else None
        self.declare(name, variable)
        if once and start:
            variable.values = [kind.of(start.get())]

        def run() -> None:
            if not once:
                variable.values = [kind.of(start.get()) if start else None]

        return run

    def array(self, kind: Kind, const: bool, name: str) -> Callable[[], None]:
        size = None if self.next == "]" else self.conditional().get()
        self.want("]")
        given: list[int | None] = []
        if self.accept("="):
            if not const:
                raise self.error(f"the array {name} lacks const, so it is copied into RAM; const keeps it in flash;")
            given = self.listed(kind)
        count = len(given) if size is None else size
        if not len(given) <= count <= LONGEST:
            raise self.error(f"{len(given)} numbers for the array {name}, which has {count},")
        rest = 0 if given else None
        variable = self.declare(name, Variable(kind, [*given, *[rest] * (count - len(given))], const, array=True))

        def run() -> None:
            if not given:
                self.spend(count)
                variable.values = [None] * count

        return run

    def listed(self, kind: Kind) -> list[int | None]:
        self.want("{")
        found: list[int | None] = []
        while not self.accept("}"):
            plain = self.plain_number()
            found.append(kind.of(self.conditional().get() if plain is None else plain))
            if self.next != "}":
                self.want(",")
        return found

    def plain_number(self) -> int | None:
        """The next number and its sign where nothing else stands before a comma or the end: most of a text are weights."""
        at = self.at + (self.next == "-")
        kind, text, _ = self.tokens[at]
        if (
            kind != "number"
            or not text.isdigit()
            or text.startswith("0") != (text == "0")
            or self.tokens[at + 1][1] not in (",", "}")
        ):
            return None
        number = -int(text) if at > self.at else int(text)
        self.at = at + 1
        return number

    # ---- statements
    def block(self) -> Statement:
        self.want("{")
        self.scopes.append({})
        parts = []
        while not self.accept("}"):
            parts.append(self.statement())
        self.scopes.pop()

        def run() -> str:
            for part in parts:
                if end := part():
                    return end
            return ""

        return run

    def statement(self) -> Statement:
        word = self.next
        if word == "{":
            return self.block()
        if word in TYPES or word in OTHER_TYPES or word in ("const", "static"):
            return self.declaration()
        if word in ("if", "while", "for"):
            self.at += 1
            return {"if": self.condition, "while": self.while_loop, "for": self.for_loop}[word]()
        if self.accept("break", "continue", "return"):
            self.want(";")
            return lambda: word
        return self.plain(";")

    def plain(self, end: str) -> Statement:
        """An expression whose value nobody needs; it may be empty."""
        get = (lambda: 0) if self.next == end else self.expression().get
        self.want(end)

        def run() -> str:
            get()
            return ""

        return run

    def condition(self) -> Statement:
        self.want("(")
        test = self.expression().get
        self.want(")")
        yes = self.statement()
        no = self.statement() if self.accept("else") else (lambda: "")
        return lambda: yes() if test() else no()

    def while_loop(self) -> Statement:
        start = self.at
        self.want("(")
        test = self.expression().get
        self.want(")")
        body = self.statement()
        return self.loop(test, body, lambda: "", self.at - start)

    def for_loop(self) -> Statement:
        start = self.at
        self.want("(")
        self.scopes.append({})
        first = self.declaration() if self.next in TYPES else self.plain(";")
        test = (lambda: 1) if self.next == ";" else self.expression().get
        self.want(";")
        step = self.plain(")")
        body = self.statement()
        self.scopes.pop()
        again = self.loop(test, body, step, self.at - start)
        return lambda: first() or again()

    def loop(self, test: Run, body: Statement, step: Statement, tokens: int) -> Statement:
        def run() -> str:
            while test():
                self.spend(tokens + TURN)
                end = body()
                if end in ("break", "return"):
                    return "" if end == "break" else end
                step()
            return ""

        return run

    def spend(self, work: int) -> None:
        """Count the work of this call."""
        self.work += work
        if self.work > WORK:
            raise CError("its loops turn too often; does one never end?")
