// How it looks, who you are, and how to ask the same by a program.

import { API } from '../api/client';
import { may, me, theme } from '../app';
import { Code } from '../parts/basics';
import { useTitle } from '../shell';
import { Tokens } from './tokens';

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
      {may('admin') && <Tokens />}
    </div>
  );
}
