"""Functions of strings, bytes and JSON texts."""

from __future__ import annotations

import re
from functools import reduce

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query, unimplemented
from pydag_emulators.bigquery.sql.functions.build import (
    Kinds,
    Lowering,
    Node,
    binary,
    call,
    macro,
    number,
    only,
    refused,
    text,
    unary,
)

KEEP: Kinds = ()


def _substring(node: exp.Substring) -> Node:
    only(node, "this", "start", "length")
    length = node.args.get("length")
    if length is None:
        return macro("substr", node.this, node.args["start"])
    return macro("substr_of", node.this, node.args["start"], length)


_TRIMS = {None: "trim", "LEADING": "ltrim", "TRAILING": "rtrim"}


def _trim(node: exp.Trim) -> Node:
    only(node, "this", "expression", "position")
    name = _TRIMS.get(node.args.get("position") or None)
    if name is None:
        raise invalid_query("Number of arguments does not match for function TRIM")
    if node.expression is None:
        return macro(name, node.this)
    return macro(f"{name}_of", node.this, node.expression)


def _pad(node: exp.Pad) -> Node:
    pattern = node.args.get("fill_pattern") or text(" ")
    return macro("lpad" if node.args["is_left"] else "rpad", node.this, node.expression, pattern)


def _replace(node: exp.Replace) -> Node:
    return macro("replace", node.this, node.expression, node.args.get("replacement") or text(""))


def _repeat(node: exp.Repeat) -> Node:
    return macro("repeat", node.this, node.args["times"])


def _position(node: exp.StrPosition) -> Node:
    only(node, "this", "substr", "position", "occurrence")
    position, occurrence = node.args.get("position"), node.args.get("occurrence")
    if position is None:
        return macro("strpos", node.this, node.args["substr"])
    return macro("instr", node.this, node.args["substr"], position, occurrence or number(1))


def _concat(node: exp.Concat) -> Node:
    only(node, "expressions", "safe", "coalesce")
    first, *rest = node.expressions
    result: Node = first if rest else macro("concat_one", first)
    for part in rest:
        result = macro("concat", result, part)
    return result


def _joined(node: exp.DPipe) -> Node:
    """`a || b`, of texts, bytes and arrays."""
    name = "array_concat" if node.meta.get("arrays") else "concat"
    return macro(name, node.this, node.expression)


def _length(node: exp.Length) -> Node:
    only(node, "this", "binary")
    return macro("length", node.this)


def _groups(node: exp.Expression) -> tuple[Node, Node]:
    """The pattern, and which group to extract: the only one, or the whole match."""
    pattern = node.expression
    if not isinstance(pattern, exp.Literal):
        raise unimplemented("regular expressions that are not literals, in REGEXP_EXTRACT")
    try:
        groups = re.compile(pattern.name).groups
    except re.error as error:
        raise unimplemented(f"the regular expression {pattern.name!r}: {error}") from error
    if groups > 1:
        raise invalid_query("Regular expression has more than 1 capturing group")
    return pattern, exp.Literal.number(groups)


_LONGEST_PATTERN = 500  # each end of a group is tried


def _may_be_empty(pattern: str) -> bool:
    """Whether the group of a pattern can match an empty text."""
    start = re.search(r"(?<!\\)(?:\\\\)*(\((?!\?[^P<]))", pattern)
    if start is None:
        return True
    if len(pattern) > _LONGEST_PATTERN:
        raise unimplemented("regular expressions with a group and more than 500 characters")
    for end in range(start.start(1) + 1, len(pattern) + 1):
        try:
            return re.fullmatch(pattern[start.start(1) : end], "") is not None
        except re.error:  # the group isn't at its end
            continue
    return True


_PLACE = re.compile(r"[$^]|\\[bBAzZ]")


def _every(value: Node, pattern: Node, group: Node) -> Node:
    """All matches; DuckDB finds an empty one behind the last character, too."""
    every = call("regexp_extract_all", value, pattern, group)
    if re.search(pattern.name, "") is None:
        return every
    if _PLACE.search(pattern.name):
        raise unimplemented(f"all matches of a pattern that can match nothing: {pattern.name!r}")
    last = exp.Case(
        ifs=[exp.If(this=exp.EQ(this=value.copy(), expression=text("")), true=number(1))],
        default=number(-2),
    )
    return call("list_slice", every, number(1), last)


def _extract(node: exp.RegexpExtract) -> Node:
    # sqlglot always adds a group, but BigQuery's rule decides which one is meant.
    only(
        node, "this", "expression", "group", "null_if_pos_overflow", "null_if_no_match",
        "empty_if_group_missing", "position", "occurrence",
    )  # fmt: skip
    pattern, group = _groups(node)
    position, occurrence = node.args.get("position"), node.args.get("occurrence")
    if position is not None:
        rest = macro("from_position", node.this, position)
        return macro("nth_match", _every(rest, pattern, group), occurrence or number(1))
    matches = macro("regexp_contains", node.this, pattern)
    found = call("regexp_extract", node.this, pattern, group)
    if group.name == "1" and not _may_be_empty(pattern.name):
        found = call("nullif", found, text(""))  # it is no part of the match
    return exp.Case(ifs=[exp.If(this=matches, true=found)])


def _extract_all(node: exp.RegexpExtractAll) -> Node:
    only(node, "this", "expression", "group")
    pattern, group = _groups(node)
    return _every(node.this, pattern, group)


def _regexp_replace(node: exp.RegexpReplace) -> Node:
    only(node, "this", "expression", "replacement", "modifiers", "single_replace")
    return macro("regexp_replace", node.this, node.expression, node.args["replacement"])


def _like_regexp(node: exp.RegexpLike) -> Node:
    only(node, "this", "expression", "full_match")
    return macro("regexp_contains", node.this, node.expression)


def _regexp_instr(node: exp.RegexpInstr) -> Node:
    only(node, "this", "expression")
    pattern, group = _groups(node)
    if group.name != "0":
        raise refused(node)
    found = pattern.name or r"[^\s\S]"  # an empty pattern is nowhere
    before = text(f"(?s)\\A(.*?)(?:{found})")
    return macro("regexp_instr", node.this, before)


def _normalize(node: exp.Normalize) -> Node:
    form = node.args.get("form")
    if node.args.get("is_casefold"):
        return macro("casefold", node.this)  # of ASCII, of which all forms are the same
    if form and form.name.upper() != "NFC":
        raise refused(node)
    return macro("normalize", node.this)


def _contains(node: exp.Contains) -> Node:
    # sqlglot has made both sides LOWER(…), whose macro is there now.
    return macro("contains", node.this, node.expression)


def _distance(node: exp.Levenshtein) -> Node:
    only(node, "this", "expression")
    return macro("edit_distance", node.this, node.expression)


def _translate(node: exp.Translate) -> Node:
    return macro("translate", node.this, node.args["from_"], node.args["to"])


def _split(node: exp.Split) -> Node:
    only(node, "this", "expression", "null_returns_null", "empty_delimiter_returns_whole")
    return macro("split", node.this, node.expression or text(","))


def _chr(node: exp.Chr) -> Node:
    if len(node.expressions) != 1:
        raise refused(node)
    return macro("chr", node.expressions[0])


def _sha2(node: exp.SHA2Digest) -> Node:
    if node.args["length"].find(exp.Literal).name != "256":
        raise unimplemented("SHA512")
    return macro("sha256", node.this)


def _fingerprint(node: exp.FarmFingerprint) -> Node:
    if len(node.expressions) != 1:
        raise invalid_query("Number of arguments does not match for function FARM_FINGERPRINT")
    return macro("farm_fingerprint", *node.expressions)


def _md5_hex(node: exp.MD5) -> Node:
    # sqlglot's reading of TO_HEX(MD5(x))
    return macro("to_hex", macro("md5", node.this))


def _like(node: exp.Like) -> Node:
    only(node, "this", "expression", "negate")
    if isinstance(node.expression, exp.Any | exp.All):
        return _quantified(node)
    # In GoogleSQL a backslash escapes always, in DuckDB only when that is said.
    return exp.Escape(this=node.copy(), expression=text("\\"))


def _quantified(node: exp.Like) -> Node:
    """`x [NOT] LIKE ANY ('a', 'b')`: it is true of one pattern; with ALL of each."""
    listed = node.expression.this
    if not isinstance(listed, exp.Tuple | exp.Paren):
        raise refused(node)
    negate = node.args.get("negate")
    patterns = listed.expressions if isinstance(listed, exp.Tuple) else [listed.this]
    likes: list[Node] = [
        _like(exp.Like(this=node.this.copy(), expression=pattern.copy(), negate=negate))
        for pattern in patterns
    ]
    both = exp.Or if isinstance(node.expression, exp.Any) else exp.And
    return exp.Paren(this=reduce(lambda a, b: both(this=a, expression=b), likes))


LOWER: Lowering = {
    exp.CodePointsToBytes: unary("code_points_to_bytes"),
    exp.CodePointsToString: unary("code_points_to_string"),
    exp.Contains: _contains,
    exp.Initcap: binary("initcap"),
    exp.Levenshtein: _distance,
    exp.Normalize: _normalize,
    exp.RegexpInstr: _regexp_instr,
    exp.SafeConvertBytesToString: unary("safe_text"),
    exp.ToCodePoints: unary("to_code_points"),
    exp.Translate: _translate,
    exp.Ascii: unary("ascii"),
    exp.ByteLength: unary("byte_length"),
    exp.Chr: _chr,
    exp.Concat: _concat,
    exp.DPipe: _joined,
    exp.EndsWith: binary("ends_with"),
    exp.FarmFingerprint: _fingerprint,
    exp.FromBase64: unary("from_base64"),
    exp.Left: binary("left"),
    exp.Length: _length,
    exp.Like: _like,
    exp.Lower: unary("lower"),
    exp.LowerHex: unary("to_hex"),
    exp.MD5: _md5_hex,
    exp.MD5Digest: unary("md5"),
    exp.Pad: _pad,
    exp.RegexpExtract: _extract,
    exp.RegexpExtractAll: _extract_all,
    exp.RegexpLike: _like_regexp,
    exp.RegexpReplace: _regexp_replace,
    exp.Repeat: _repeat,
    exp.Replace: _replace,
    exp.Reverse: unary("reverse"),
    exp.Right: binary("right"),
    exp.SHA1Digest: unary("sha1"),
    exp.SHA2Digest: _sha2,
    exp.SessionUser: lambda _node: text("local@localhost"),  # as in the resources of jobs
    exp.Soundex: unary("soundex"),
    exp.Split: _split,
    exp.StartsWith: binary("starts_with"),
    exp.StrPosition: _position,
    exp.Substring: _substring,
    exp.ToBase64: unary("to_base64"),
    exp.Trim: _trim,
    exp.Unhex: unary("from_hex"),
    exp.Unicode: unary("unicode"),
    exp.Upper: unary("upper"),
}
