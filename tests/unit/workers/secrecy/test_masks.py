"""The values of secrets are hidden as they are, and as programs commonly write them."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import shlex
import time
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pydag_dist.dag.planning.rendering import HIDDEN
from workers.pool.output.logs import Log
from workers.pool.output.spool import Spool
from workers.pool.output.spool_lines import SpoolParser
from workers.secrecy.masks import Masks

VALUE = 'pä55 "w"/\\<ö&+=?\'1'
KEY = "-----BEGIN KEY-----\nMIIEvQIBADAN+/==\nBgkqhkiG9w0B\n-----END KEY-----\n"

FORMS = {
    "plain": lambda v: v,
    "repr": repr,
    "bytes": lambda v: repr(v.encode()),
    "json": json.dumps,
    "json with its letters": lambda v: json.dumps(v, ensure_ascii=False),
    "json in json": lambda v: json.dumps(json.dumps({"token": v})),
    "json of php": lambda v: json.dumps(v).replace("/", "\\/"),
    "json of go": lambda v: (
        json.dumps(v, ensure_ascii=False).replace("<", "\\u003c").replace("&", "\\u0026")
    ),
    "a text with marks": lambda v: repr(f"\"'{v}"),
    "bytes with marks": lambda v: repr(f"\"'{v}".encode()),
    "shell": shlex.quote,
    "set -x": lambda v: "'" + v.replace("'", "'\\''") + "'",
    "printf %q": lambda v: re.sub(r"[^\w@%+=:,./-]", r"\\\g<0>", v),
    "encodeURIComponent": lambda v: quote(v, safe="!'()*"),
    "requests": lambda v: quote(v, safe="!#$%&'()*+,/:;=?@[]~"),
    "base64 in lines": lambda v: base64.encodebytes(v.encode()).decode(),
    "url": quote,
    "a part of a url": lambda v: quote(v, safe=""),
    "small percents": lambda v: quote(v, safe="").lower(),
    "a form": quote_plus,
    "a query": lambda v: urlencode({"token": v}),
    "html": html.escape,
    "hex": lambda v: v.encode().hex(),
    "HEX": lambda v: v.encode().hex().upper(),
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "urlsafe base64": lambda v: base64.urlsafe_b64encode(v.encode()).decode(),
    "basic": lambda v: base64.b64encode(f"user:{v}".encode()).decode(),
    "basic of another user": lambda v: base64.b64encode(f"use:{v}:x".encode()).decode(),
    "bearer": lambda v: f"Authorization: Bearer {v}\r\n",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [VALUE, "abcd", "0123456789", KEY, "p%40ss"])
def test_a_secret_is_hidden_in_every_form(form, value):
    if form == "small percents" and value != value.lower():
        value = value.lower()
    written = FORMS[form](value)
    hidden = Masks([value]).hide(f"before {written} after")
    assert HIDDEN in hidden
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")
    # Of base64 a character or two at its ends belong to its neighbours, too.
    pieces = [written[at : at + 8] for at in range(2, len(written) - 9)]
    secret = [piece for piece in pieces if piece in hidden]
    if "user" not in written and "token" not in written and "basic" not in form:
        assert secret == [] or form == "bearer"


@given(st.text(min_size=4, max_size=40).filter(lambda text: len(text.strip()) >= 4), st.text())
@example("\n\n\n\na", "")
def test_whatever_a_secret_is_it_is_hidden(value, around):
    try:
        value.encode()
    except UnicodeEncodeError:
        return
    hidden = Masks([value]).hide(f"{around}{value}{around}")
    assert value not in hidden or value in HIDDEN * 40


def test_lines_of_a_secret_are_hidden_by_themselves():
    masks = Masks([KEY])
    for line in KEY.splitlines():
        assert masks.hide(f"| {line} |") == f"| {HIDDEN} |"
        assert HIDDEN in masks.hide(quote(line, safe=""))


def test_values_of_json_are_hidden_and_stay_json():
    masks = Masks(["12345", "key-of-all"])
    value = {"key-of-all": [1, 12345, 9123456, True, None, 0.12345, "x12345x", {"a": "b"}]}
    assert masks.hide_in(value) == {
        HIDDEN: [1, HIDDEN, HIDDEN, True, None, HIDDEN, f"x{HIDDEN}x", {"a": "b"}]
    }
    assert Masks().hide_in(value) is value


def test_no_secret_hides_nothing():
    assert not Masks()
    assert Masks().hide("text") == Masks().hide_cut("text") == "text"


@pytest.mark.parametrize("shown", range(3, 10))
def test_the_beginning_of_a_secret_is_hidden_where_a_line_was_cut(shown):
    masks = Masks(["0123456789"])
    assert masks.hide_cut(f"abc{'0123456789'[:shown]}") == f"abc{HIDDEN}"
    assert masks.hide_cut("abc0123456789") == f"abc{HIDDEN}"


@pytest.mark.parametrize("values", [["s3cret-word"], ["s3cret", "s3cret-word", "cret-works"]])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_a_secret_in_pieces_is_hidden_as_in_one(values, size):
    masks, rest, shown = Masks(values), "", ""
    written = "is s3cret-word, s3cret-wort\nor s3cret-works3cret-word. s3c\nThe end s3c"
    for at in range(0, len(written), size):
        said, rest = masks.hide_piece(rest + written[at : at + size])
        shown += said
    assert rest == "s3c"
    assert shown == masks.hide(written).removesuffix("s3c")
    assert masks.hide_piece("is over\n") == ("is over\n", "")


def test_a_long_secret_takes_no_longer_where_lines_are_cut():
    masks = Masks(["ab" * 8_000 + "c"])
    began = time.process_time()
    for _ in range(20):
        assert masks.hide_cut("x" * 8_000 + "ab" * 4_000) == f"{'x' * 8_000}{HIDDEN}"
        assert masks.hide_piece("x" * 8_000 + "ab" * 4_000) == ("x" * 8_000, "ab" * 4_000)
    assert time.process_time() - began < 5


class Written:
    """What a process of a pool has written, and what its log gets of it."""

    def __init__(self, *values):
        self.spool, self.parser = Spool(), SpoolParser()
        self.parser.masks = Masks(values)
        self.lines = []
        self.log = Log(lambda part: self.lines.extend(json.loads(part.lines)) or "ok", "w")
        self.log.masks = self.parser.masks

    def write(self, data, wait=0.0):
        os.write(self.spool.write, data)
        self.spool.move()
        fed = self.parser.feed(self.spool.text(self.parser.position))
        for line in [*fed, *(self.parser.finish(wait) if wait else ())]:
            self.log.add(*line)

    def texts(self):
        for line in self.parser.finish():
            self.log.add(*line)
        self.log.send_waiting(at_once=True)
        return [text for _, _, text in self.lines]


def test_a_secret_that_is_printed_in_pieces_is_hidden():
    written = Written("0123456789")
    for character in b"is 0123456789":
        written.write(bytes([character]), wait=1e-9)
    written.write(b" or\n")
    assert written.texts() == [f"is {HIDDEN} or"]


def test_a_secret_at_the_end_of_a_line_that_is_too_long_is_hidden():
    for before in (16_384 - 5, 16_384 - 10, 16_384 + 10):
        written = Written("0123456789")
        for start in range(0, before, 1 << 14):
            written.write(b"x" * min(1 << 14, before - start))
        written.write(b"0123456789" * 4_000 + b"\n")
        (text,) = written.texts()
        assert "012" not in text


def test_the_beginning_of_a_secret_is_hidden_where_its_character_was_cut():
    for shown in range(1, len("0123öä".encode())):
        written = Written("0123öäü")
        written.write(b"x" * (16_384 - shown) + "0123öäü".encode() * 4 + b"\n")
        (text,) = written.texts()
        assert "012" not in text
        assert "\\x" not in text


def test_the_parent_knows_what_a_dead_process_would_have_hidden():
    spool = Spool()
    assert spool.secrets() == []
    spool.hide(["0123456789", "ö" * 10_000])
    assert spool.secrets() == ["0123456789", "ö" * 10_000]
    spool.end()
    assert spool.secrets() == []
    assert spool._secrets[:].strip(b"\0") == b""
    spool.close()
