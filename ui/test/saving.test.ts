import { beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { Edited, OpenFile } from '../src/saving/file';

type Fields = Record<string, string>;

let open: (path: string) => OpenFile;
let Problem: typeof import('../src/api/client').Problem;
let file: Fields | null;
let puts: { text: string; message: string }[];
/** What happens on the server before the next request of that kind. */
let meanwhile: Record<string, () => void>;

const texted = (fields: Fields) => JSON.stringify(fields);
const tagOf = (fields: Fields) => `of ${texted(fields)}`;

/** A server of one file whose fields are texts. */
async function serve(
  method: string,
  _: string,
  body?: unknown,
  __?: unknown,
  headers: Fields = {},
) {
  const given = body as { text: string; base: string; message: string; choices: Choice[] };
  const happens = meanwhile[method];
  delete meanwhile[method];
  happens?.();
  if (method === 'PUT') {
    const known = headers['If-Match'];
    const isKnown = known ? file && known === `"${tagOf(file)}"` : file === null;
    if (!isKnown) throw new Problem(412, 'changed', '');
    const saved: Fields = JSON.parse(given.text);
    if (saved.bad) throw new Problem(422, 'problems', '');
    file = saved;
    puts.push(given);
    const isLocked = given.message === 'locked';
    return {
      etag: tagOf(file),
      problems: [],
      commit: isLocked ? null : given.message || null,
      commit_problem: isLocked ? 'git: index.lock' : null,
    };
  }
  if (file === null) throw new Problem(404, 'no such file', '');
  if (method === 'GET') return { text: texted(file), etag: tagOf(file) };
  return merge(JSON.parse(given.base), given.text, given.choices);
}

interface Choice {
  field: string;
  side: string;
}

function merge(base: Fields, text: string, choices: Choice[]) {
  if (text === 'no JSON') throw new Problem(422, 'no JSON', 'the text is no JSON');
  const mine = JSON.parse(text) as Fields;
  const theirs = file!;
  const conflicts = [];
  const merged: Fields = {};
  for (const field of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const sides = {
      task: null,
      field,
      base: base[field],
      mine: mine[field],
      theirs: theirs[field],
    };
    const clashes = new Set([sides.base, sides.mine, sides.theirs]).size === 3;
    const choice = choices.find((each) => each.field === field)?.side;
    if (clashes && !choice) conflicts.push(sides);
    const isMine = clashes ? choice === 'mine' : sides.base !== sides.mine;
    const value = isMine ? sides.mine : sides.theirs;
    if (value !== undefined) merged[field] = value;
  }
  return { text: texted(merged), etag: tagOf(theirs), conflicts };
}

/** An editor in which somebody types. */
class Editor implements Edited {
  now = '';
  inFile = '';
  text = async () => this.now;
  replace(text: string) {
    this.now = text;
  }
  saved(text: string) {
    this.inFile = text;
  }
  isUnsettled = () => false;
}

let edited: Editor;
let opened: OpenFile;

beforeAll(async () => {
  vi.stubGlobal('document', { baseURI: 'http://x/' });
  ({ Problem } = await import('../src/api/client'));
  const saving = await import('../src/saving/file');
  open = (path) => new saving.OpenFile(path, serve as never);
});

beforeEach(async () => {
  file = { a: '1', b: '1' };
  puts = [];
  meanwhile = {};
  edited = new Editor();
  opened = open('team/x y.json');
  edited.now = (await opened.load())!;
});

test('a text is saved, and committed with a message', async () => {
  expect(opened.url).toBe('/files/team/x%20y.json');
  edited.now = texted({ a: '2', b: '1' });
  await opened.save(edited, { message: 'why' });
  expect(puts).toEqual([{ text: edited.now, message: 'why' }]);
  expect([edited.inFile, opened.before]).toEqual([edited.now, edited.now]);
  expect(opened.said.value).toBe('Saved and committed.');
  edited.now = texted({ a: '3', b: '1' });
  await opened.save(edited);
  expect(file).toEqual({ a: '3', b: '1' });
});

test('why it is not committed is told', async () => {
  edited.now = texted({ a: '2', b: '1' });
  await opened.save(edited, { message: 'locked' });
  expect(opened.said.value).toBe('Saved. It is not committed: git: index.lock');
});

test('a new file is made, and not over one that has come meanwhile', async () => {
  file = null;
  expect(await opened.load()).toBeNull();
  edited.now = texted({ a: '2' });
  meanwhile.PUT = () => {
    file = { b: '5' };
  };
  await opened.save(edited);
  expect(file).toEqual({ a: '2', b: '5' });
  expect(edited.now).toBe(edited.inFile);
});

test('changes of other fields are merged without a question', async () => {
  file = { a: '1', b: '7' };
  edited.now = texted({ a: '2', b: '1' });
  await opened.save(edited);
  expect(file).toEqual({ a: '2', b: '7' });
  expect(edited.now).toBe(texted({ a: '2', b: '7' }));
  expect(opened.clash.value).toBeNull();
  expect(opened.said.value).toMatch(/what others have changed/);
});

test('who saves between a merge and its save is merged, too', async () => {
  file = { a: '1', b: '7' };
  edited.now = texted({ a: '2', b: '1' });
  meanwhile.POST = () => {
    meanwhile.PUT = () => {
      file = { a: '1', b: '7', c: '9' };
    };
  };
  await opened.save(edited);
  expect(file).toEqual({ a: '2', b: '7', c: '9' });
});

test('what is typed while it is saved stays, and is merged by the next save', async () => {
  file = { a: '1', b: '7' };
  edited.now = texted({ a: '2', b: '1' });
  let asked = 0;
  edited.text = async () => {
    if (asked++ === 1) edited.now = texted({ a: '3', b: '1' });
    return edited.now;
  };
  await opened.save(edited);
  expect(file).toEqual({ a: '2', b: '7' });
  expect(edited.now).toBe(texted({ a: '3', b: '1' }));
  await opened.save(edited);
  expect(file).toEqual({ a: '3', b: '7' });
  expect(edited.now).toBe(texted({ a: '3', b: '7' }));
});

test('the same field asks, and becomes what is chosen', async () => {
  file = { a: '5', b: '7' };
  edited.now = texted({ a: '2', b: '1' });
  expect(await opened.save(edited, { message: 'why' })).toBeNull();
  expect(puts).toEqual([]);
  expect(opened.clash.value).toMatchObject({ theirs: texted(file), why: '' });
  expect(opened.clash.value!.conflicts.map(({ field }) => field)).toEqual(['a']);
  const choices = [{ task: null, field: 'a', side: 'mine' as const }];
  expect(await opened.settle(edited, choices)).not.toBeNull();
  expect(file).toEqual({ a: '2', b: '7' });
  expect(puts.map(({ message }) => message)).toEqual(['why']);
  expect([opened.clash.value, edited.now]).toEqual([null, texted({ a: '2', b: '7' })]);
});

test('a chosen field that has changed once more asks again', async () => {
  file = { a: '5', b: '1' };
  edited.now = texted({ a: '2', b: '1' });
  await opened.save(edited);
  const choices = [{ task: null, field: 'a', side: 'theirs' as const }];
  for (const request of ['POST', 'PUT']) {
    const next = request === 'POST' ? '6' : '8';
    meanwhile[request] = () => {
      file = { a: next, b: '1' };
    };
    expect(await opened.settle(edited, choices)).toBeNull();
    expect(opened.clash.value!.conflicts[0]!.theirs).toBe(next);
  }
  expect(puts).toEqual([]);
  await opened.settle(edited, choices);
  expect([file, edited.now]).toEqual([{ a: '8', b: '1' }, texted({ a: '8', b: '1' })]);
});

test('what can not be merged asks as a whole', async () => {
  file = { a: '5', b: '1' };
  edited.now = 'no JSON';
  expect(await opened.save(edited)).toBeNull();
  expect(opened.clash.value).toMatchObject({ conflicts: [], why: 'the text is no JSON' });
  await opened.overrule(edited, 'theirs');
  expect([edited.now, edited.inFile]).toEqual([texted(file), texted(file)]);
  edited.now = texted({ a: '6', b: '1' });
  await opened.save(edited);
  expect(file).toEqual({ a: '6', b: '1' });
});

test('a file that somebody has deleted is made anew only if that is asked for', async () => {
  file = null;
  edited.now = texted({ a: '2', b: '1' });
  expect(await opened.save(edited)).toBeNull();
  expect(opened.clash.value).toMatchObject({ theirs: null });
  await opened.overrule(edited, 'mine');
  expect(file).toEqual({ a: '2', b: '1' });
  expect(opened.clash.value).toBeNull();
});

test('what has problems only together with what others have changed comes into the text', async () => {
  file = { a: '1', b: '1', bad: 'yes' };
  edited.now = texted({ a: '2', b: '1' });
  await expect(opened.save(edited)).rejects.toThrow();
  expect(edited.now).toBe(texted({ a: '2', b: '1', bad: 'yes' }));
  expect(puts).toEqual([]);
});

test('a save that fails otherwise changes nothing', async () => {
  edited.now = texted({ a: '2', b: '1' });
  meanwhile.PUT = () => {
    throw new Problem(503, 'away', '');
  };
  await expect(opened.save(edited)).rejects.toThrow('away');
  await opened.save(edited);
  expect(file).toEqual({ a: '2', b: '1' });
});
