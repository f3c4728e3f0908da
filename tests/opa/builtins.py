"""Cases of our own for every built-in function and operator that the shipped packs use: one line of Rego each.

Written from OPA's documentation of each function, at its edges: empty, missing, of another type, of several bytes.
Operands stand in `data.operands`, so that neither engine folds them away before it evaluates.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

from guardrail.bundles import Bundle
from guardrail.opa.process import Process, Questions
from guardrail.rego.interpreter import UNDEFINED, Interpreter, RegoError

OPERANDS: Final[Mapping[str, Any]] = {
    "empty": "", "text": "Straße/İ.txt", "many": "a,b,,c", "spaces": " \t\n x \u00a0\u3000",
    "astral": "a😀b", "sigma": "ΟΔΟΣ",
    "null": None, "yes": True, "no": False, "zero": 0, "minus": -1, "half": 0.5, "big": 9007199254740991,
    "list": [3, "a", None, [1], {"k": 1}, 1.5, True], "numbers": [3, 1, 2, 10], "words": ["b", "a", "ab", "B", "ä"],
    "nothing": [], "object": {"a": 1, "b": {"c": [1, 2]}, "": 0, "1": "one"}, "bare": {},
    "digits": "٣", "marked": "érm x", "apart": "a\u00a0b", "tags": "<b>&\u2028", "mapped": "::ffff:10.0.0.1",
    "tenth": 0.1, "fifth": 0.2, "beyond": 1e300, "blank": " 5", "lined": "1_000",
}  # fmt: skip
_TEXTS: Final = ("empty", "text", "many", "spaces", "astral", "sigma")
_LAST: Final = "bare"
_ANY: Final = tuple(OPERANDS)[: tuple(OPERANDS).index(_LAST) + 1]
"""Those that every function is asked about; the others are for cases of their own."""
_ONE: Final[Mapping[str, tuple[str, ...]]] = {
    "is_array": _ANY, "is_null": _ANY, "is_number": _ANY, "is_object": _ANY, "is_set": _ANY, "is_string": _ANY,
    "is_boolean": _ANY, "count": _ANY, "lower": _ANY, "trim_space": _ANY, "object.keys": _ANY, "sort": _ANY,
    "sum": _ANY, "to_number": _ANY, "json.marshal": _ANY, "type_name": _ANY, "upper": _TEXTS, "max": _ANY, "min": _ANY,
}  # fmt: skip
_FORMATS: Final = ("%v", "%s", "%d", "%q", "%.2f", "%5v|", "%x", "%%", "no verb", "%v %v")
_SCALARS: Final = ("empty", "text", "null", "yes", "zero", "half", "big", "list", "object", "bare", "nothing")
MORE: Final = (
    'concat(", ", d.words)', 'concat("", d.nothing)', 'concat(", ", d.list)', 'concat(", ", {x | some x in d.words})',
    "array.concat(d.numbers, d.words)", "array.concat(d.numbers, d.text)",
    'endswith(d.text, ".txt")', 'endswith(d.text, "")', 'endswith(d.empty, "x")', 'startswith(d.text, "Stra")',
    'startswith(d.astral, "a😀")', 'replace(d.many, ",", ";")',
    'replace(d.many, "", "-")', 'replace(d.astral, "😀", "")',
    'split(d.many, ",")', 'split(d.many, "")', 'split(d.astral, "")', 'split(d.empty, ",")', 'split(d.empty, "")',
    "substring(d.astral, 1, 1)", "substring(d.text, 0, -1)", "substring(d.text, 4, 100)", "substring(d.text, 100, 1)",
    "substring(d.text, -1, 1)", "substring(d.empty, 0, 0)", "substring(d.text, 6, -5)",
    'trim_prefix(d.text, "Stra")', 'trim_prefix(d.text, "")', 'trim_prefix(d.text, "x")', 'trim_suffix(d.text, ".txt")',
    'trim_suffix(d.many, "")', 'trim_prefix(d.null, "x")', 'trim_suffix(d.list, "x")',
    'object.get(d.object, "a", 0)', 'object.get(d.object, "x", 0)', 'object.get(d.object, ["b", "c", 1], 0)',
    'object.get(d.object, ["b", "x", 1], "no")', "object.get(d.object, [], 0)", 'object.get(d.list, "a", 0)',
    'object.get(d.null, "a", 0)', 'object.get(d.object, d.null, "no")', 'object.get(d.text, "a", 0)',
    'object.filter(d.object, ["a"])', 'object.filter(d.object, {"a", "x"})', 'object.filter(d.object, {"a": 1})',
    "object.filter(d.object, d.nothing)", 'object.filter(d.list, ["a"])', 'object.union(d.object, {"a": 2, "z": 1})',
    'object.union(d.object, {"b": {"d": 1}})', "object.union(d.bare, d.bare)", "object.union(d.object, d.list)",
    'object.remove(d.object, ["a", "x"])', 'object.union_n([d.object, {"b": 1}])',
    '"a" in d.words', '"x" in d.words', "1 in d.object", "null in d.list", '"a", 1 in d.object', '"a" in d.text',
    "d.numbers[0] + d.half", "d.big + 0", "d.big * 2", "d.zero / d.zero", "d.minus % 2", "d.half % 2", "7 % -3",
    "d.text + 1", "d.null - 1", "d.half / 3", "1 / 3", "d.big / 3",
    "{1, 2, 3} - {2}", "{1, 2} | {2, 3}", "{1, 2} & {2, 3}", "d.numbers - {1}", "{1} - d.numbers",
    "{x | some x in d.list}", "[x | some x in d.object]", "{k: v | some k, v in d.object}",
    "[k | some k, _ in d.words]",
    "d.object[d.empty]", "d.numbers[-1]", "d.numbers[10]", "d.numbers[0.5]", 'd.object["1"]', "d.object[1]",
    'regex.match("^a+$", d.many)', 'regex.match("(", d.many)', 'glob.match("*.txt", [], d.text)',
    'glob.match("**.example.com", ["."], "a.b.example.com")', 'glob.match("*.example.com", ["."], "a.b.example.com")',
    'strings.any_prefix_match(d.text, ["x", "Stra"])', 'time.parse_rfc3339_ns("2026-01-31T12:00:00Z")',
    'time.parse_rfc3339_ns("no")', "numbers.range(1, 3)", 'json.unmarshal("{\\"a\\": 1}")', 'json.unmarshal("{")',
    'net.cidr_contains("10.0.0.0/8", "10.1.2.3")', 'net.cidr_contains("10.0.0.0/8", "x")',
    "abs(d.minus)", "round(d.half)",
    "floor(d.half)", "ceil(d.half)", "union({{1}, {2}})", "intersection({{1, 2}, {2}})", "array.slice(d.numbers, 1, 3)",
    "array.reverse(d.words)", 'indexof(d.astral, "b")', 'indexof(d.text, "x y")', 'contains(d.text, "ß")',
    'contains(d.null, "x")', "format_int(d.big, 16)", 'trim(d.many, "a,")', "to_number(d.yes)",
    r"regex.match(`^\d$`, d.digits)", r"regex.match(`^\D$`, d.digits)", r"regex.match(`^\w+$`, d.digits)",
    r"regex.match(`\W`, d.marked)", r"regex.match(`\brm\b`, d.marked)", r"regex.match(`\Brm`, d.marked)",
    r"regex.match(`\s`, d.apart)", r"regex.match(`^\S+$`, d.apart)", "regex.match(`[0-9]`, d.digits)",
    "regex.match(`(?i)STRASSE`, d.text)", r"regex.match(`^\pL`, d.marked)", r"regex.match(`\101`, d.astral)",
    "regex.match(`a{,2}`, d.astral)", "regex.match(`a{1001}`, d.astral)", "regex.match(`a**`, d.astral)",
    "regex.split(``, d.astral)", 'regex.replace(d.many, "(,)", "[$1]")', 'regex.find_n("[a-c]", d.many, -1)',
    "json.marshal(d.tags)", "json.marshal(1.0)", "yaml.marshal(d.lined)", "yaml.unmarshal(d.lined)",
    "d.tenth + d.fifth", "d.tenth + d.fifth > 0.3", "d.tenth * 3 == 0.3", "sum([d.tenth, d.fifth]) == 0.3",
    "4.35 * 100 == 435", "d.beyond + 1 > d.beyond", "d.big * d.big > 0", "floor(d.beyond) > 0", "ceil(-0.5)",
    "bits.lsh(1, 70) > 0", 'net.cidr_contains("10.0.0.0/8", d.mapped)', 'net.cidr_contains("0.0.0.0/0", d.mapped)',
    "glob.match(`?`, [], `é`)", "glob.match(`a**b`, [`/`], `a/x/b`)", "glob.match(`a*`, [`:`], `a:b`)",
    "glob.match(`[!a]b`, [], `cb`)", "glob.match(`*`, null, `a.b`)", "glob.match(`{a,b}*`, [], `bc`)",
    "strings.replace_n({`a`: `b`, `b`: `c`}, `ab`)", "strings.count(`aaa`, `aa`)", "to_number(d.blank)",
    "units.parse(d.lined)", "semver.compare(`v1.2.3`, `1.2.3`)", "semver.is_valid(d.half)", "json.is_valid(d.half)",
    "json.remove(d.object, [`/a`])", "json.match_schema(d.object, {`type`: `object`})",
    "time.parse_rfc3339_ns(`2026-01-31t12:00:00z`)", "d.list[`0`]",
)  # fmt: skip
_COMPARED: Final = ("==", "!=", "<", "<=", ">", ">=")


def cases() -> Iterator[str]:
    """Expressions over `d`, which stands for the operands."""
    for function, operands in _ONE.items():
        yield from (f"{function}(d.{operand})" for operand in operands)
    for form in _FORMATS:
        yield from (f'sprintf("{form}", [d.{operand}])' for operand in _SCALARS)
    yield 'sprintf("%v", d.nothing)'
    for sign in _COMPARED:  # all types are ordered, and each is compared with each
        yield from (f"d.{left} {sign} d.{right}" for left in _SCALARS for right in _SCALARS)
    yield from MORE


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What both engines make of an expression: JSON values, `undefined` or `error`.

    Attributes:
        case: the expression.
        opa: what OPA says, and
        embedded: what the embedded interpreter does.
    """

    case: str
    opa: str
    embedded: str

    @property
    def same(self) -> bool:
        """Whether they say the same, or neither has a value."""
        if "undefined" in (self.opa, self.embedded) or "error" in (self.opa, self.embedded):
            return self.opa == self.embedded
        return _equal(orjson.loads(self.opa), orjson.loads(self.embedded))


def evaluated() -> list[Evaluated]:
    """Every case, on both engines."""
    known = list(cases())
    rules = "\n".join(f"r{number} := {case}\n" for number, case in enumerate(known))
    module = f"package cases\n\nimport data.operands as d\n\n{rules}"
    bundle = Bundle.of({"cases.rego": module}, {"operands": OPERANDS})
    interpreter = Interpreter(bundle.rules, bundle.data_json)
    with Process(bundle) as process:
        opa = Questions(process.url)
        try:
            return [
                Evaluated(
                    case=case,
                    opa=_there(opa, f"data.cases.r{number}"),
                    embedded=_here(interpreter, f"data.cases.r{number}"),
                )
                for number, case in enumerate(known)
            ]
        finally:
            opa.close()


def _there(opa: Questions, rule: str) -> str:
    value, wrong = opa.ask(rule, b"{}")
    if wrong:
        return "undefined" if wrong == "undefined" else "error"
    return orjson.dumps(value).decode()


def _here(interpreter: Interpreter, rule: str) -> str:
    try:
        text = interpreter.answer("{}", rule)
    except RegoError:
        return "error"
    return "undefined" if text == UNDEFINED else orjson.dumps(orjson.loads(text)).decode()


def _equal(one: object, other: object) -> bool:
    """Whether two JSON values are the same: numbers by value, and true is no 1."""
    if isinstance(one, list) and isinstance(other, list):
        items, others = cast("list[Any]", one), cast("list[Any]", other)
        return len(items) == len(others) and all(map(_equal, items, others))
    if isinstance(one, dict) and isinstance(other, dict):
        left, right = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    return isinstance(one, bool) == isinstance(other, bool) and one == other
