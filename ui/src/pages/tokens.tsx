// Tokens of programs and of browsers elsewhere: made here, told once, taken back.

import { useSignal } from '@preact/signals';
import { get, part, request } from '../api/client';
import type { Token } from '../api/types';
import { Action } from '../parts/action';
import { Code, Time, Wrong } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { Table } from '../parts/table';
import { quoted } from '../text';

const ROLES = {
  viewer: 'reads',
  operator: 'starts, cancels and resumes runs, too',
  editor: 'brings new DAGs, too',
  admin: 'makes tokens, too',
} as const;

interface Made {
  name: string;
  token: string;
}

export function Tokens() {
  const tokens = useLoaded('', (signal) => get<{ items: Token[] }>('/tokens', {}, signal));
  const name = useSignal('');
  const role = useSignal<keyof typeof ROLES>('viewer');
  const made = useSignal<Made | null>(null);
  const error = useSignal<unknown>(null);
  const make = async (event: Event) => {
    event.preventDefault();
    try {
      const body = { name: name.value.trim(), role: role.value };
      made.value = await request<Made>('POST', '/tokens', body);
      name.value = '';
      error.value = null;
      tokens.reload();
    } catch (problem) {
      error.value = problem;
    }
  };
  return (
    <>
      <h2>Tokens</h2>
      <p>
        A program, or a browser on another machine, is let in by a token. A viewer reads; each role
        may do all that those before it may.
      </p>
      <form class="filters" onSubmit={make} aria-label="New token">
        <label>
          For{' '}
          <input
            value={name.value}
            maxLength={200}
            placeholder="such as ci"
            spellcheck={false}
            onInput={(event) => {
              name.value = event.currentTarget.value;
            }}
          />
        </label>
        <label>
          Role{' '}
          <select
            value={role.value}
            onChange={(event) => {
              role.value = event.currentTarget.value as keyof typeof ROLES;
            }}
          >
            {Object.entries(ROLES).map(([each, may]) => (
              <option key={each} value={each}>
                {each}: {may}
              </option>
            ))}
          </select>
        </label>
        <button type="submit" disabled={!name.value.trim()}>
          Make a token
        </button>
      </form>
      {error.value !== null && <Wrong error={error.value} />}
      {made.value && (
        <div class="panel" role="status">
          <p>
            The token of <b>{made.value.name}</b>. It is shown now and never again: only its hash is
            kept.
          </p>
          <Code text={made.value.token} what="the token" />
          <button
            type="button"
            onClick={() => {
              made.value = null;
            }}
          >
            I have kept it
          </button>
        </div>
      )}
      <Show of={tokens} what="the tokens">
        {({ items }) =>
          items.length === 0 ? (
            <p class="faint">There are none.</p>
          ) : (
            <Table tall heads={['For', 'Role', 'Made', { says: 'Take back', hidden: true }]}>
              {items.map((token) => (
                <tr key={token.name}>
                  <td class="name">{token.name}</td>
                  <td>{token.role}</td>
                  <td>
                    <Time at={token.created_at} /> by {token.created_by}
                  </td>
                  <td>
                    <Action
                      label="Take back"
                      command={`pydag tokens --remove ${quoted(token.name)}`}
                      request={{ method: 'DELETE', path: `/tokens/${part(token.name)}` }}
                      needs="admin"
                      confirm={`Whoever has the token of ${token.name} is let in no more.`}
                      onDone={() => {
                        if (made.value?.name === token.name) made.value = null;
                        tokens.reload();
                      }}
                    />
                  </td>
                </tr>
              ))}
            </Table>
          )
        }
      </Show>
    </>
  );
}
