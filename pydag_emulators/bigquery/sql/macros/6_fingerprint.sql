-- FARM_FINGERPRINT: FarmHash's Fingerprint64, https://github.com/google/farmhash. Numbers are of 64
-- bits without a sign, whose sums and products keep their last 64 bits.
-- A macro's argument is written out wherever it is named, so what is used twice goes through a list.

CREATE OR REPLACE MACRO bq_f_add(a, b) AS
  CAST((CAST(a AS UHUGEINT) + CAST(b AS UHUGEINT)) % 18446744073709551616::UHUGEINT AS UBIGINT);
CREATE OR REPLACE MACRO bq_f_mul(a, b) AS
  CAST((CAST(a AS UHUGEINT) * CAST(b AS UHUGEINT)) % 18446744073709551616::UHUGEINT AS UBIGINT);
-- To the right: of the number beside itself, in 128 bits.
CREATE OR REPLACE MACRO bq_f_rotate(x, bits) AS CAST(
  (CAST(x AS UHUGEINT) * 18446744073709551617::UHUGEINT >> bits) % 18446744073709551616::UHUGEINT
  AS UBIGINT);
CREATE OR REPLACE MACRO bq_f_mix(x) AS
  list_extract(list_transform([x], lambda r: xor(r, r >> 47)), 1);
CREATE OR REPLACE MACRO bq_f_k0() AS 14097894508562428199::UBIGINT;
CREATE OR REPLACE MACRO bq_f_k1() AS 13011662864482103923::UBIGINT;
CREATE OR REPLACE MACRO bq_f_k2() AS 11160318154034397263::UBIGINT;
-- n bytes from a position on, the last one first; the bytes are pairs of hexadecimal digits.
CREATE OR REPLACE MACRO bq_f_bytes(pairs, start, n) AS coalesce(TRY_CAST('0x'
  || array_to_string(list_reverse(list_slice(pairs, start + 1, start + n)), '') AS UBIGINT), 0);
CREATE OR REPLACE MACRO bq_f_word(pairs, start) AS bq_f_bytes(pairs, start, 8);
CREATE OR REPLACE MACRO bq_f_two(a, b, m) AS list_extract(list_transform([{'a': a, 'b': b, 'm': m}],
  lambda t: bq_f_mul(bq_f_mix(bq_f_mul(
    xor(t.b, bq_f_mix(bq_f_mul(xor(t.a, t.b), t.m))), t.m)), t.m)), 1);

CREATE OR REPLACE MACRO bq_f_to_16(pairs, n, m) AS CASE
  WHEN n >= 8 THEN list_extract(list_transform(
    [{'a': bq_f_add(bq_f_word(pairs, 0), bq_f_k2()), 'b': bq_f_word(pairs, n - 8), 'm': m}],
    lambda w: bq_f_two(
      bq_f_add(bq_f_mul(bq_f_rotate(w.b, 37), w.m), w.a),
      bq_f_mul(bq_f_add(bq_f_rotate(w.a, 25), w.b), w.m), w.m)), 1)
  WHEN n >= 4 THEN
    bq_f_two(bq_f_add(n, bq_f_mul(bq_f_bytes(pairs, 0, 4), 8)), bq_f_bytes(pairs, n - 4, 4), m)
  WHEN n > 0 THEN bq_f_mul(bq_f_mix(xor(
    bq_f_mul(bq_f_add(bq_f_bytes(pairs, 0, 1), bq_f_mul(bq_f_bytes(pairs, n // 2, 1), 256)), bq_f_k2()),
    bq_f_mul(bq_f_add(n, bq_f_mul(bq_f_bytes(pairs, n - 1, 1), 4)), bq_f_k0()))), bq_f_k2())
  ELSE bq_f_k2() END;
CREATE OR REPLACE MACRO bq_f_sums(a, b, c, d, e) AS {
  'one': bq_f_add(bq_f_add(bq_f_rotate(bq_f_add(a, b), 43), bq_f_rotate(c, 30)), d),
  'other': bq_f_add(bq_f_add(a, bq_f_rotate(bq_f_add(b, e), 18)), c)};
CREATE OR REPLACE MACRO bq_f_quarters(pairs, n, m, k) AS {
  'a': bq_f_mul(bq_f_word(pairs, 0), k), 'b': bq_f_word(pairs, 8),
  'c': bq_f_mul(bq_f_word(pairs, n - 8), m), 'd': bq_f_mul(bq_f_word(pairs, n - 16), bq_f_k2())};
CREATE OR REPLACE MACRO bq_f_to_32(pairs, n, m) AS list_extract(list_transform(
  list_transform([bq_f_quarters(pairs, n, m, bq_f_k1())],
    lambda q: bq_f_sums(q.a, q.b, q.c, q.d, bq_f_k2())),
  lambda s: bq_f_two(s.one, s.other, m)), 1);
CREATE OR REPLACE MACRO bq_f_to_64(pairs, n, m) AS list_extract(list_transform(list_transform(
  list_transform([bq_f_quarters(pairs, n, m, bq_f_k2())],
    lambda q: {'a': q.a, 's': bq_f_sums(q.a, q.b, q.c, q.d, bq_f_k2())}),
  lambda s: bq_f_sums(
    bq_f_mul(bq_f_word(pairs, 16), m), bq_f_word(pairs, 24),
    bq_f_mul(bq_f_add(s.s.one, bq_f_word(pairs, n - 32)), m),
    bq_f_mul(bq_f_add(bq_f_two(s.s.one, s.s.other, m), bq_f_word(pairs, n - 24)), m), s.a)),
  lambda t: bq_f_two(t.one, t.other, m)), 1);

-- Longer texts: blocks of 64 bytes change a state of seven numbers; the last block is counted from
-- the end, and has its own multiplier and weight.
CREATE OR REPLACE MACRO bq_f_half(pairs, start, a, b) AS list_extract(list_transform(list_transform(
  [{'a': bq_f_add(a, bq_f_word(pairs, start)), 'b': b, 'z': bq_f_word(pairs, start + 24)}],
  lambda h: {'c': h.a, 'z': h.z, 'b': bq_f_rotate(bq_f_add(bq_f_add(h.b, h.a), h.z), 21),
    'a': bq_f_add(bq_f_add(h.a, bq_f_word(pairs, start + 8)), bq_f_word(pairs, start + 16))}),
  lambda g: {'one': bq_f_add(g.a, g.z),
    'other': bq_f_add(bq_f_add(g.b, bq_f_rotate(g.a, 44)), g.c)}), 1);
CREATE OR REPLACE MACRO bq_f_block(pairs, state, start, m, weight) AS list_extract(
  list_transform(list_transform(list_transform([state],
    lambda s0: {
      's': s0,
      'x': xor(bq_f_mul(bq_f_rotate(bq_f_add(bq_f_add(bq_f_add(s0.x, s0.y), s0.v1),
        bq_f_word(pairs, start + 8)), 37), m), bq_f_mul(s0.w2, weight)),
      'y': bq_f_add(bq_f_mul(bq_f_rotate(bq_f_add(bq_f_add(s0.y, s0.v2),
        bq_f_word(pairs, start + 48)), 42), m),
        bq_f_add(bq_f_mul(s0.v1, weight), bq_f_word(pairs, start + 40))),
      'z': bq_f_mul(bq_f_rotate(bq_f_add(s0.z, s0.w1), 33), m)}),
    lambda s1: {'x': s1.z, 'y': s1.y, 'z': s1.x,
      'v': bq_f_half(pairs, start, bq_f_mul(s1.s.v2, m), bq_f_add(s1.x, s1.s.w1)),
      'w': bq_f_half(pairs, start + 32, bq_f_add(s1.z, s1.s.w2),
        bq_f_add(s1.y, bq_f_word(pairs, start + 16)))}),
    lambda s2: {'x': s2.x, 'y': s2.y, 'z': s2.z, 'v1': s2.v.one, 'v2': s2.v.other,
      'w1': s2.w.one, 'w2': s2.w.other}), 1);
CREATE OR REPLACE MACRO bq_f_state(x, y, z) AS {
  'x': x, 'y': y, 'z': z, 'v1': 0::UBIGINT, 'v2': 0::UBIGINT, 'w1': 0::UBIGINT, 'w2': 0::UBIGINT};
CREATE OR REPLACE MACRO bq_f_start(pairs) AS bq_f_state(
  bq_f_add(bq_f_mul(81, bq_f_k2()), bq_f_word(pairs, 0)), 2480279821605975764::UBIGINT,
  bq_f_mul(bq_f_mix(bq_f_add(bq_f_mul(2480279821605975764, bq_f_k2()), 113)), bq_f_k2()));
CREATE OR REPLACE MACRO bq_f_last(state, n) AS list_extract(list_transform(list_transform([state],
  lambda l0: {'s': l0, 'w': bq_f_add(l0.w1, (n - 1) % 64)}),
  lambda l1: {'x': l1.s.x, 'y': l1.s.y, 'z': l1.s.z, 'v1': bq_f_add(l1.s.v1, l1.w), 'v2': l1.s.v2,
    'w1': bq_f_add(l1.w, bq_f_add(l1.s.v1, l1.w)), 'w2': l1.s.w2}), 1);
CREATE OR REPLACE MACRO bq_f_long(pairs, n) AS list_extract(list_transform(list_transform(
  list_transform(
    [list_reduce(
      list_transform(generate_series(0, (n - 1) // 64 - 1), lambda i: bq_f_state(
        CAST(i * 64 AS UBIGINT), 0::UBIGINT, 0::UBIGINT)),
      lambda before, next_: bq_f_block(pairs, before, CAST(next_.x AS BIGINT), bq_f_k1(), 1),
      bq_f_start(pairs))],
    lambda f0: {'s': bq_f_last(f0, n), 'm': bq_f_add(bq_f_k1(), f0.z % 256 * 2)}),
  lambda f1: {'s': bq_f_block(pairs, f1.s, n - 64, f1.m, 9), 'm': f1.m}),
  lambda f2: bq_f_two(
    bq_f_add(bq_f_add(bq_f_two(f2.s.v1, f2.s.w1, f2.m), bq_f_mul(bq_f_mix(f2.s.y), bq_f_k0())), f2.s.z),
    bq_f_add(bq_f_two(f2.s.v2, f2.s.w2, f2.m), f2.s.x), f2.m)), 1);

CREATE OR REPLACE MACRO bq_f_of(pairs, n, m) AS CASE
  WHEN n <= 16 THEN bq_f_to_16(pairs, n, m)
  WHEN n <= 32 THEN bq_f_to_32(pairs, n, m)
  WHEN n <= 64 THEN bq_f_to_64(pairs, n, m)
  ELSE bq_f_long(pairs, n) END;
CREATE OR REPLACE MACRO bq_f_blob(x) AS list_extract(list_transform(list_transform(
  [{'p': bq_pairs(x), 'n': octet_length(x)}],
  lambda f: bq_f_of(f.p, f.n, bq_f_add(bq_f_k2(), f.n * 2))),
  lambda u: CAST(CAST(u AS BIT) AS BIGINT)), 1);
CREATE OR REPLACE MACRO bq_farm_fingerprint
  (x VARCHAR) AS bq_f_blob(encode(x)), (x BLOB) AS bq_f_blob(x);
