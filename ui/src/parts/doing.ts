// Something that is done by a button: whether it goes on, and why it failed.

import { useSignal } from '@preact/signals';

export function useDoing() {
  const busy = useSignal(false);
  const error = useSignal<unknown>(null);
  const act = async (doing: () => Promise<unknown>) => {
    busy.value = true;
    error.value = null;
    try {
      await doing();
    } catch (problem) {
      error.value = problem;
    } finally {
      busy.value = false;
    }
  };
  return { busy, error, act };
}
