// How it looks, who you are, and how to ask the same by a program.

import { API, get, request } from '../api/client';
import { may, me, theme } from '../app';
import { Code, Time } from '../parts/basics';
import { Show, useLoaded } from '../parts/loaded';
import { useTitle } from '../shell';

const THEMES = [
  ['system', 'as the system'],
  ['light', 'light'],
  ['dark', 'dark'],
] as const;

export function SettingsPage() {
  useTitle('Settings');
  const who = me.value!;
  return (
    <div class="page narrow">
      <div class="head">
        <h1>Settings</h1>
      </div>
      <fieldset>
        <legend>Colours</legend>
        {THEMES.map(([value, says]) => (
          <label key={value}>
            <input
              type="radio"
              name="theme"
              checked={theme.value === value}
              onChange={() => {
                theme.value = value;
              }}
            />{' '}
            {says}
          </label>
        ))}
      </fieldset>
      <h2>You</h2>
      <dl class="facts">
        <dt>Name</dt>
        <dd>{who.user}</dd>
        <dt>Role</dt>
        <dd>{who.role}</dd>
        <dt>Signed in by</dt>
        <dd>
          {{ local: 'the key of this machine', tokens: 'a token', proxy: 'a proxy' }[who.mode]}
        </dd>
        <dt>Version</dt>
        <dd>{who.version}</dd>
        <dt>History</dt>
        <dd>
          {who.history
            ? 'can be read: ended runs stay'
            : "can't be read from here: only runs that Redis still has are shown"}
        </dd>
      </dl>
      <h2>The same by a program</h2>
      <p>
        All that these pages show and do is a REST API, described at{' '}
        <a href={`${API}/openapi.json`} target="_blank" rel="noreferrer">
          openapi.json
        </a>
        . TOKEN is a token of yours:
      </p>
      <Code
        text={`curl -H 'Authorization: Bearer TOKEN' ${location.origin}${API}/runs?limit=5`}
        what="the curl line"
      />
      {who.mode === 'tokens' && may('admin') && <Tokens />}
    </div>
  );
}

interface Token {
  name: string;
  role: string;
  created_at?: number | null;
}

function Tokens() {
  const tokens = useLoaded('', (signal) => get<{ items: Token[] }>('/tokens', {}, signal));
  const remove = async (name: string) => {
    await request('DELETE', `/tokens/${encodeURIComponent(name)}`);
    tokens.reload();
  };
  return (
    <>
      <h2>Tokens</h2>
      <Show of={tokens} what="the tokens">
        {({ items }) =>
          items.length === 0 ? (
            <p class="faint">There are none.</p>
          ) : (
            <table class="list">
              <thead>
                <tr>
                  <th>Name</th>
                  <th>Role</th>
                  <th>Made</th>
                  <th>
                    <span class="hidden">Take back</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {items.map(({ name, role, created_at }) => (
                  <tr key={name}>
                    <td>{name}</td>
                    <td>{role}</td>
                    <td>
                      <Time at={created_at} />
                    </td>
                    <td>
                      <button type="button" class="plain" onClick={() => remove(name)}>
                        Take back
                      </button>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          )
        }
      </Show>
    </>
  );
}
