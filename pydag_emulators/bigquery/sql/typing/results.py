"""The types of functions' results, where they don't depend on more than the first argument."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from pydag_emulators.bigquery.errors import invalid_query
from pydag_emulators.bigquery.sql.typing.types import (
    BOOL,
    BYTES,
    DATE,
    DATETIME,
    FLOAT64,
    INT64,
    JSON,
    NUMERIC,
    STRING,
    TIME,
    TIMESTAMP,
    Type,
    array_of,
)

FIXED: dict[type[exp.Expr], Type] = {
    kind: type_
    for type_, kinds in {
        BOOL: (
            exp.And, exp.Or, exp.Not, exp.Exists, exp.Like, exp.StartsWith, exp.EndsWith,
            exp.RegexpLike, exp.IsInf, exp.IsNan, exp.LogicalAnd, exp.LogicalOr, exp.Boolean,
            exp.NullSafeEQ, exp.NullSafeNEQ, exp.JSONBool, exp.LaxBool, exp.Contains,
        ),
        INT64: (
            exp.CountIf, exp.ApproxDistinct, exp.Length, exp.ByteLength, exp.ArraySize,
            exp.StrPosition, exp.Ascii, exp.Unicode, exp.DateDiff, exp.DatetimeDiff,
            exp.TimestampDiff, exp.TimeDiff, exp.UnixDate, exp.UnixMicros, exp.UnixMillis,
            exp.UnixSeconds, exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile, exp.IntDiv,
            exp.BitwiseAndAgg, exp.BitwiseOrAgg, exp.BitwiseXorAgg, exp.HexString, exp.Int64,
            exp.LaxInt64, exp.RangeBucket, exp.BitwiseCount, exp.Levenshtein, exp.RegexpInstr,
            exp.Grouping, exp.FarmFingerprint,
        ),
        FLOAT64: (
            exp.Rand, exp.CumeDist, exp.PercentRank, exp.Stddev, exp.StddevPop, exp.StddevSamp,
            exp.Variance, exp.VariancePop, exp.Corr, exp.CovarPop, exp.CovarSamp, exp.Float64,
            exp.LaxFloat64, exp.Acos, exp.Acosh, exp.Asin, exp.Asinh, exp.Atan, exp.Atan2,
            exp.Atanh, exp.Cos, exp.Cosh, exp.Cot, exp.Sin, exp.Sinh, exp.Tan, exp.Tanh,
        ),
        STRING: (
            exp.Chr, exp.LowerHex, exp.ToBase64, exp.MD5, exp.Uuid, exp.JSONFormat,
            exp.RawString, exp.ArrayToString, exp.Initcap,
            exp.JSONExtractScalar, exp.JSONType, exp.LaxString, exp.CodePointsToString,
            exp.Normalize, exp.SafeConvertBytesToString, exp.SessionUser,
            exp.Soundex,
        ),
        BYTES: (
            exp.FromBase64, exp.Unhex, exp.MD5Digest, exp.SHA1Digest, exp.SHA2Digest,
            exp.ByteString, exp.CodePointsToBytes,
        ),
        DATE: (
            exp.CurrentDate, exp.Date, exp.DateFromParts, exp.DateFromUnixDate, exp.LastDay,
            exp.StrToDate, exp.TsOrDsToDate,
        ),
        DATETIME: (
            exp.CurrentDatetime, exp.Datetime, exp.DatetimeAdd, exp.DatetimeSub,
            exp.DatetimeTrunc, exp.ParseDatetime, exp.TimestampFromParts, exp.TsOrDsToDatetime,
        ),
        TIME: (
            exp.CurrentTime, exp.TimeAdd, exp.TimeSub, exp.TimeFromParts, exp.TimeTrunc, exp.Time,
            exp.ParseTime, exp.TsOrDsToTime,
        ),
        TIMESTAMP: (
            exp.CurrentTimestamp, exp.Timestamp, exp.TimestampAdd, exp.TimestampSub,
            exp.TimestampTrunc, exp.StrToTime, exp.UnixToTime, exp.TsOrDsToTimestamp,
        ),
        JSON: (exp.ParseJSON, exp.JSONRemove, exp.JSONStripNulls),
        NUMERIC: (exp.ParseNumeric,),
        array_of(INT64): (exp.ToCodePoints,),
        array_of(STRING): (
            exp.JSONKeysAtDepth, exp.JSONValueArray, exp.RegexpExtractAll, exp.Split,
        ),
        array_of(DATE): (exp.GenerateDateArray,),
        array_of(TIMESTAMP): (exp.GenerateTimestampArray,),
    }.items()
    for kind in kinds
}  # fmt: skip


def _same(first: Type) -> Type:
    return first


def _real(first: Type) -> Type:
    """NUMERIC of NUMERIC, else FLOAT64."""
    return NUMERIC if first == NUMERIC else FLOAT64


def _text(first: Type) -> Type:
    if first.kind not in ("STRING", "BYTES", "NULL"):
        raise invalid_query(f"No matching signature for a function of texts for {first}")
    return first if first == BYTES else STRING


def _quantiles(first: Type) -> Type:
    if first.kind in ("ARRAY", "JSON", "STRUCT"):
        raise invalid_query(f"No matching signature for APPROX_QUANTILES for {first}")
    return array_of(first)


def _item(first: Type) -> Type | None:
    return first.item if first.kind == "ARRAY" else None


BY_FIRST: dict[type[exp.Expr], Callable[[Type], Type | None]] = {
    **dict.fromkeys(
        (
            exp.Abs, exp.Neg, exp.Sign, exp.Max, exp.Min, exp.AnyValue, exp.FirstValue,
            exp.LastValue, exp.NthValue, exp.Lag, exp.Lead, exp.Sum, exp.Paren, exp.Alias,
            exp.Window, exp.IgnoreNulls, exp.RespectNulls, exp.Filter, exp.Distinct, exp.Order,
            exp.Limit, exp.HavingMax, exp.ArrayReverse, exp.BitwiseNot, exp.SafeFunc, exp.Ordered,
            exp.PercentileDisc, exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor,
            exp.BitwiseLeftShift, exp.BitwiseRightShift, exp.DateTrunc, exp.SafeNegate,
            exp.ArraySlice, exp.ArrayConcatAgg, exp.ArgMax, exp.ArgMin,
        ),
        _same,
    ),
    **dict.fromkeys(
        (exp.Round, exp.Trunc, exp.Ceil, exp.Floor, exp.Avg, exp.PercentileCont), _real
    ),
    **dict.fromkeys(
        (
            exp.Substring, exp.Left, exp.Right, exp.Trim, exp.Pad, exp.Replace, exp.Reverse,
            exp.Repeat, exp.Lower, exp.Upper, exp.RegexpExtract, exp.RegexpReplace,
            exp.GroupConcat, exp.Translate,
        ),
        _text,
    ),
    exp.Bracket: _item,
    exp.ArrayFirst: _item,
    exp.ArrayLast: _item,
    exp.ArrayAgg: array_of,
    exp.ApproxQuantiles: _quantiles,
    exp.ApproxTopK: lambda first: array_of(
        Type("STRUCT", (("value", first), ("count", INT64)))
    ),
    exp.GenerateSeries: array_of,
    exp.JSONExtract: lambda first: JSON if first == JSON else STRING,
}  # fmt: skip

_TEXTS = ("STRING", "BYTES")
_NUMBERS = ("INT64", "NUMERIC", "FLOAT64")
ARGUMENTS: dict[type[exp.Expr], tuple[str, ...]] = {
    kind: types
    for types, kinds in (
        (("BOOL",), (exp.And, exp.Or, exp.Not, exp.LogicalAnd, exp.LogicalOr, exp.CountIf)),
        (("ARRAY",), (exp.ArraySize, exp.ArrayToString)),
        (("INT64",), (exp.BitwiseAndAgg, exp.BitwiseOrAgg, exp.BitwiseXorAgg)),
        (("JSON",), (
            exp.JSONType, exp.JSONBool, exp.Int64, exp.Float64, exp.LaxBool, exp.LaxFloat64,
            exp.LaxInt64, exp.LaxString, exp.JSONRemove, exp.JSONArrayAppend, exp.JSONArrayInsert,
            exp.JSONKeysAtDepth, exp.JSONSet, exp.JSONStripNulls,
        )),
        (("STRING",), (
            exp.Ascii, exp.Unicode, exp.Initcap, exp.Normalize, exp.ParseJSON, exp.Soundex,
        )),
        (("TIMESTAMP", "STRING"), (exp.UnixMicros, exp.UnixMillis, exp.UnixSeconds)),
        (("STRING", "JSON"), (exp.JSONExtract, exp.JSONExtractScalar, exp.JSONValueArray)),
        (_TEXTS, (
            exp.Length, exp.ByteLength, exp.MD5Digest, exp.MD5, exp.SHA1Digest, exp.SHA2Digest,
            exp.FarmFingerprint,
            exp.ToCodePoints, exp.Split, exp.StartsWith, exp.EndsWith, exp.RegexpLike,
            exp.StrPosition, exp.Like,
        )),
        (_NUMBERS, (exp.IsInf, exp.IsNan, exp.Abs, exp.Sign, exp.PercentileCont)),
    )
    for kind in kinds
}  # fmt: skip
"""The types that the first argument can have; all arguments of AND and OR."""


def check_arguments(node: exp.Expr, types: Sequence[Type | None]) -> None:
    """Refuse arguments of other types, which DuckDB would convert.

    Raises:
        ApiError: `invalidQuery`.
    """
    allowed = ARGUMENTS.get(type(node))
    if allowed is None:
        return
    for type_ in types if allowed == ("BOOL",) else types[:1]:
        if type_ is not None and type_.kind not in (*allowed, "NULL"):
            given = ", ".join("?" if one is None else str(one) for one in types)
            name = node.sql_name() if isinstance(node, exp.Func) else node.key.upper()
            raise invalid_query(f"No matching signature for {name} for argument types: {given}")


def check_condition(type_: Type | None, what: str) -> None:
    """Refuse a condition that is no BOOL.

    Raises:
        ApiError: `invalidQuery`.
    """
    if type_ is not None and type_.kind not in ("BOOL", "NULL"):
        raise invalid_query(f"{what} should return type BOOL, but returns {type_}")
