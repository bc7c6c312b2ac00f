/** The first answer of a source, or the end of the time a start may wait for it. Shell: owns one timer. */
const WAIT_MS = 10_000;

export function firstWord(): { readonly heard: Promise<void>; said(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  // It holds the process: while a start waits for it, nothing else may.
  const timer = setTimeout(resolve, WAIT_MS);
  return {
    heard: promise,
    said: () => {
      clearTimeout(timer);
      resolve();
    },
  };
}
