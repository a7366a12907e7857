"""The types of functions' results, where they don't depend on more than the first argument."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

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
            exp.And, exp.Or, exp.Not, exp.Is, exp.Exists, exp.Like, exp.StartsWith, exp.EndsWith,
            exp.RegexpLike, exp.IsInf, exp.IsNan, exp.LogicalAnd, exp.LogicalOr, exp.Boolean,
            exp.NullSafeEQ, exp.NullSafeNEQ,
        ),
        INT64: (
            exp.Count, exp.CountIf, exp.ApproxDistinct, exp.Length, exp.ByteLength, exp.ArraySize,
            exp.StrPosition, exp.Ascii, exp.Unicode, exp.DateDiff, exp.DatetimeDiff,
            exp.TimestampDiff, exp.TimeDiff, exp.UnixDate, exp.UnixMicros, exp.UnixMillis,
            exp.UnixSeconds, exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile, exp.IntDiv,
            exp.BitwiseAndAgg, exp.BitwiseOrAgg, exp.BitwiseXorAgg, exp.HexString,
        ),
        FLOAT64: (
            exp.Rand, exp.CumeDist, exp.PercentRank, exp.Stddev, exp.StddevPop, exp.StddevSamp,
            exp.Variance, exp.VariancePop, exp.Corr, exp.CovarPop, exp.CovarSamp,
        ),
        STRING: (
            exp.Chr, exp.LowerHex, exp.ToBase64, exp.MD5, exp.Uuid, exp.TimeToStr, exp.JSONFormat,
            exp.String, exp.Format, exp.RawString, exp.ArrayToString, exp.Initcap,
            exp.JSONExtractScalar,
        ),
        BYTES: (
            exp.FromBase64, exp.Unhex, exp.MD5Digest, exp.SHA1Digest, exp.SHA2Digest,
            exp.ByteString,
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
            exp.CurrentTime, exp.TimeAdd, exp.TimeSub, exp.TimeFromParts, exp.TimeTrunc,
            exp.ParseTime, exp.TsOrDsToTime,
        ),
        TIMESTAMP: (
            exp.CurrentTimestamp, exp.Timestamp, exp.TimestampAdd, exp.TimestampSub,
            exp.TimestampTrunc, exp.StrToTime, exp.UnixToTime, exp.TsOrDsToTimestamp,
        ),
        JSON: (exp.ParseJSON,),
        array_of(STRING): (exp.Split, exp.RegexpExtractAll),
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
    return first if first == BYTES else STRING


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
            exp.BitwiseLeftShift, exp.BitwiseRightShift, exp.DateTrunc,
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
            exp.GroupConcat,
        ),
        _text,
    ),
    exp.Bracket: _item,
    exp.ArrayAgg: array_of,
    exp.GenerateSeries: array_of,
    exp.JSONExtract: lambda first: JSON if first == JSON else STRING,
}  # fmt: skip
