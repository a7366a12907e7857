// For whom the server doesn't know.

import { useSignal } from '@preact/signals';
import { Problem, request } from '../api/client';
import { Wrong } from '../parts/basics';
import { shown } from '../text';

/** A sentence whose `commands` are shown as such. */
const withCode = (text: string) =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
    .split('`')
    .map((part, place) => (place % 2 ? <code key={place}>{part}</code> : part));

export function SignIn({ why, onDone }: { why: Problem; onDone: () => void }) {
  const error = useSignal<unknown>(null);
  const token = useSignal('');
  const enter = async (event: Event) => {
    event.preventDefault();
    try {
      await request('POST', '/session', { token: token.value.trim() });
      onDone();
    } catch (problem) {
      error.value = problem;
    }
  };
  return (
    <div class="note">
      <h2>Who are you?</h2>
      <p>{withCode(shown(why.detail, 500))}</p>
      <p>Or enter a token:</p>
      <form class="filters" onSubmit={enter}>
        <label>
          Token{' '}
          <input
            type="password"
            autocomplete="current-password"
            value={token.value}
            onInput={(event) => {
              token.value = event.currentTarget.value;
            }}
          />
        </label>
        <button type="submit" disabled={!token.value}>
          Enter
        </button>
      </form>
      {error.value !== null && error.value instanceof Problem && <Wrong error={error.value} />}
    </div>
  );
}
