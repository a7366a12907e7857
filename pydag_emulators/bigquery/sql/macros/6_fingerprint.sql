-- FARM_FINGERPRINT: FarmHash's Fingerprint64, https://github.com/google/farmhash. Numbers are of 64
-- bits without a sign, whose sums and products keep their last 64 bits: of 128 that hold them.
-- A macro's argument is written out wherever it is named, so what is used twice goes through a list.

CREATE OR REPLACE MACRO bq_f_low(x) AS x % 18446744073709551616::UHUGEINT;
CREATE OR REPLACE MACRO bq_f_mul(a, b) AS bq_f_low(a * b);
-- To the right: of the number beside itself.
CREATE OR REPLACE MACRO bq_f_rotate(x, bits) AS
  bq_f_low(bq_f_low(x) * 18446744073709551617::UHUGEINT >> bits);
CREATE OR REPLACE MACRO bq_f_mix(x) AS
  list_extract(list_transform([x], lambda r: xor(r, r >> 47)), 1);
CREATE OR REPLACE MACRO bq_f_k0() AS 14097894508562428199::UHUGEINT;
CREATE OR REPLACE MACRO bq_f_k1() AS 13011662864482103923::UHUGEINT;
CREATE OR REPLACE MACRO bq_f_k2() AS 11160318154034397263::UHUGEINT;
-- n bytes from a position on, the last one first; the bytes are pairs of hexadecimal digits.
CREATE OR REPLACE MACRO bq_f_bytes(pairs, start, n) AS CAST(coalesce(TRY_CAST('0x'
  || array_to_string(list_reverse(list_slice(pairs, start + 1, start + n)), '') AS UBIGINT), 0)
  AS UHUGEINT);
-- The words of 8 bytes from the start on, then the last 8 words, which are counted from the end.
CREATE OR REPLACE MACRO bq_f_words(pairs, n) AS list_transform(
  list_concat(range(0, n - 7, 8), range(n - 64, n, 8)), lambda i: bq_f_bytes(pairs, i, 8));
CREATE OR REPLACE MACRO bq_f_two(a, b, m) AS list_extract(list_transform([{'a': a, 'b': b, 'm': m}],
  lambda ·t: bq_f_mul(bq_f_mix(bq_f_mul(
    xor(·t.b, bq_f_mix(bq_f_mul(xor(·t.a, ·t.b), ·t.m))), ·t.m)), ·t.m)), 1);

-- Texts of up to 3, 7, 16, 32 and 64 bytes; but of the shortest, two numbers and a multiplier are made
-- one by `bq_f_two`.
CREATE OR REPLACE MACRO bq_f_to_3(pairs, n) AS bq_f_mul(bq_f_mix(xor(
  bq_f_mul(bq_f_bytes(pairs, 0, 1) + bq_f_bytes(pairs, n // 2, 1) * 256::UHUGEINT, bq_f_k2()),
  bq_f_mul(CAST(n AS UHUGEINT) + bq_f_bytes(pairs, n - 1, 1) * 4::UHUGEINT, bq_f_k0()))), bq_f_k2());
CREATE OR REPLACE MACRO bq_f_to_7(pairs, n, m) AS {
  'a': bq_f_low(CAST(n AS UHUGEINT) + bq_f_bytes(pairs, 0, 4) * 8::UHUGEINT),
  'b': bq_f_bytes(pairs, n - 4, 4), 'm': m};
CREATE OR REPLACE MACRO bq_f_to_16(w, m) AS {
  'a': bq_f_low(bq_f_mul(bq_f_rotate(w[-1], 37), m) + w[1] + bq_f_k2()),
  'b': bq_f_mul(bq_f_low(bq_f_rotate(w[1] + bq_f_k2(), 25) + w[-1]), m), 'm': m};
CREATE OR REPLACE MACRO bq_f_sums(a, b, c, d, e, m) AS {
  'a': bq_f_low(bq_f_rotate(a + b, 43) + bq_f_rotate(c, 30) + d),
  'b': bq_f_low(a + bq_f_rotate(b + e, 18) + c), 'm': m};
CREATE OR REPLACE MACRO bq_f_quarters(w, m, k) AS bq_f_sums(
  bq_f_mul(w[1], k), w[2], bq_f_mul(w[-1], m), bq_f_mul(w[-2], bq_f_k2()), bq_f_k2(), m);
CREATE OR REPLACE MACRO bq_f_to_64(w, m) AS list_extract(list_transform(
  [bq_f_quarters(w, m, bq_f_k2())],
  lambda ·q: bq_f_sums(bq_f_mul(w[3], m), w[4], bq_f_mul(bq_f_low(·q.a + w[-4]), m),
    bq_f_mul(bq_f_low(bq_f_two(·q.a, ·q.b, ·q.m) + w[-3]), m), bq_f_mul(w[1], bq_f_k2()), m)), 1);

-- Longer texts: blocks of 8 words change a state of seven numbers; the last block is counted from
-- the end, and has its own multiplier and weight.
CREATE OR REPLACE MACRO bq_f_half(w, k, a, b) AS list_extract(list_transform(list_transform(
  [{'a': bq_f_low(a + w[k]), 'b': b}],
  lambda ·h: {'c': ·h.a, 'b': bq_f_rotate(·h.b + ·h.a + w[k + 3], 21),
    'a': bq_f_low(·h.a + w[k + 1] + w[k + 2])}),
  lambda ·g: {'one': bq_f_low(·g.a + w[k + 3]),
    'other': bq_f_low(·g.b + bq_f_rotate(·g.a, 44) + ·g.c)}), 1);
CREATE OR REPLACE MACRO bq_f_block(w, state, m, weight) AS list_extract(
  list_transform(list_transform(list_transform([state],
    lambda ·s0: {
      's': ·s0,
      'x': xor(bq_f_mul(bq_f_rotate(·s0.x + ·s0.y + ·s0.v1 + w[2], 37), m), bq_f_mul(·s0.w2, weight)),
      'y': bq_f_low(bq_f_mul(bq_f_rotate(·s0.y + ·s0.v2 + w[7], 42), m) + ·s0.v1 * weight + w[6]),
      'z': bq_f_mul(bq_f_rotate(·s0.z + ·s0.w1, 33), m)}),
    lambda ·s1: {'x': ·s1.z, 'y': ·s1.y, 'z': ·s1.x,
      'v': bq_f_half(w, 1, bq_f_mul(·s1.s.v2, m), ·s1.x + ·s1.s.w1),
      'w': bq_f_half(w, 5, ·s1.z + ·s1.s.w2, ·s1.y + w[3])}),
    lambda ·s2: {'x': ·s2.x, 'y': ·s2.y, 'z': ·s2.z, 'v1': ·s2.v.one, 'v2': ·s2.v.other,
      'w1': ·s2.w.one, 'w2': ·s2.w.other, 'words': w}), 1);
CREATE OR REPLACE MACRO bq_f_state(x, y, z, w) AS {'x': x, 'y': y, 'z': z, 'v1': 0::UHUGEINT,
  'v2': 0::UHUGEINT, 'w1': 0::UHUGEINT, 'w2': 0::UHUGEINT, 'words': w};
CREATE OR REPLACE MACRO bq_f_start(w) AS bq_f_state(
  bq_f_low(81::UHUGEINT * bq_f_k2() + w[1]), 2480279821605975764::UHUGEINT,
  bq_f_mul(bq_f_mix(bq_f_low(2480279821605975764::UHUGEINT * bq_f_k2() + 113::UHUGEINT)), bq_f_k2()),
  w);
CREATE OR REPLACE MACRO bq_f_last(state, n) AS list_extract(list_transform(list_transform([state],
  lambda ·l0: {'s': ·l0, 'w': bq_f_low(·l0.w1 + CAST((n - 1) % 64 AS UHUGEINT))}),
  lambda ·l1: {'x': ·l1.s.x, 'y': ·l1.s.y, 'z': ·l1.s.z, 'v1': bq_f_low(·l1.s.v1 + ·l1.w),
    'v2': ·l1.s.v2, 'w1': bq_f_low(·l1.w + ·l1.s.v1 + ·l1.w), 'w2': ·l1.s.w2, 'words': ·l1.s.words}), 1);
CREATE OR REPLACE MACRO bq_f_long(w, n) AS list_extract(list_transform(list_transform(
  list_transform(
    [list_reduce(
      list_transform(range(0, (n - 1) // 64), lambda i: bq_f_state(
        0::UHUGEINT, 0::UHUGEINT, 0::UHUGEINT, list_slice(w, i * 8 + 1, i * 8 + 8))),
      lambda before, ·next_: bq_f_block(·next_.words, before, bq_f_k1(), 1::UHUGEINT),
      bq_f_start(w))],
    lambda ·f0: {'s': bq_f_last(·f0, n),
      'm': bq_f_low(bq_f_k1() + ·f0.z % 256::UHUGEINT * 2::UHUGEINT)}),
  lambda ·f1: {'s': bq_f_block(list_slice(w, -8, -1), ·f1.s, ·f1.m, 9::UHUGEINT), 'm': ·f1.m}),
  lambda ·f2: {
    'a': bq_f_low(bq_f_two(·f2.s.v1, ·f2.s.w1, ·f2.m) + bq_f_mul(bq_f_mix(·f2.s.y), bq_f_k0()) + ·f2.s.z),
    'b': bq_f_low(bq_f_two(·f2.s.v2, ·f2.s.w2, ·f2.m) + ·f2.s.x), 'm': ·f2.m}), 1);

CREATE OR REPLACE MACRO bq_f_pair(p, w, n, m) AS CASE
  WHEN n < 8 THEN bq_f_to_7(p, n, m)
  WHEN n <= 16 THEN bq_f_to_16(w, m)
  WHEN n <= 32 THEN bq_f_quarters(w, m, bq_f_k1())
  WHEN n <= 64 THEN bq_f_to_64(w, m)
  ELSE bq_f_long(w, n) END;
CREATE OR REPLACE MACRO bq_f_blob(x) AS list_extract(list_transform(list_transform(list_transform(
  list_transform([{'p': bq_pairs(x), 'n': octet_length(x)}],
    lambda ·b0: {'p': ·b0.p, 'n': ·b0.n, 'w': bq_f_words(·b0.p, ·b0.n),
      'm': bq_f_low(bq_f_k2() + CAST(·b0.n * 2 AS UHUGEINT))}),
  lambda ·b1: {'p': ·b1.p, 'n': ·b1.n, 't': bq_f_pair(·b1.p, ·b1.w, ·b1.n, ·b1.m)}),
  lambda ·b2: CASE
    WHEN ·b2.n = 0 THEN bq_f_k2()
    WHEN ·b2.n < 4 THEN bq_f_to_3(·b2.p, ·b2.n)
    ELSE bq_f_two(·b2.t.a, ·b2.t.b, ·b2.t.m) END),
  lambda u: CAST(CAST(CAST(u AS UBIGINT) AS BIT) AS BIGINT)), 1);
CREATE OR REPLACE MACRO bq_farm_fingerprint
  (x VARCHAR) AS bq_f_blob(encode(x)), (x BLOB) AS bq_f_blob(x);
