/** What a fake API server was asked, and what it can do instead of answering. Pure. */

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly watch: boolean;
  /** Monotonic clock of the machine. */
  readonly atMs: number;
}

/** Takes the request and never says anything. */
export const HALF_OPEN = 'half-open';

export type Fault =
  | typeof HALF_OPEN
  | { readonly slowMs: number }
  | {
      readonly status: number;
      readonly reason?: string;
      readonly retryAfterSeconds?: number;
    };

export const always =
  (fault: Fault): ((seen: Seen) => Fault) =>
  () =>
    fault;

/** So many times, then as usual. */
export function times(count: number, fault: Fault): (seen: Seen) => Fault | null {
  let left = count;
  return () => {
    left -= 1;
    return left >= 0 ? fault : null;
  };
}
