/**
 * Second opinions: the same question to several engines, and every answer that is not the same. The host of the sidecar
 * is asked first; an engine that cannot be sure of its answer says why, and then a difference decides nothing. Pure.
 */
import { isDeepStrictEqual } from 'node:util';

export type Answer =
  | { readonly kind: 'value'; readonly value: unknown; readonly doubt?: string | undefined }
  | { readonly kind: 'undefined'; readonly doubt?: string | undefined }
  | { readonly kind: 'failed'; readonly detail: string; readonly doubt?: string | undefined };

/** An engine that evaluates one policy with one set of data. Never throws. */
export interface Opinion {
  readonly name: string;
  /** Takes sets in an order of its own, so lists that differ in order alone are the same. */
  readonly anyOrder?: true;
  /** @param input JSON text of an object. */
  answer(entrypoint: string, input: string, timeNs: bigint): Answer | Promise<Answer>;
}

export interface Question {
  readonly name: string;
  readonly entrypoint: string;
  /** JSON text. */
  readonly input: string;
  readonly timeNs: bigint;
}

export interface Difference {
  readonly question: Question;
  readonly answers: readonly { readonly name: string; readonly answer: Answer }[];
}

export interface Comparison {
  readonly asked: number;
  readonly differences: readonly Difference[];
  /** Differences that an engine gave a reason to doubt. */
  readonly doubtful: readonly Difference[];
  /** Questions that the first engine stopped at, so that nobody else was asked. */
  readonly unanswered: readonly Difference[];
}

/** Kept of each kind; the first ones tell the story. */
const KEPT_MAX = 20;

export async function compareOpinions(
  first: Opinion,
  others: readonly Opinion[],
  questions: Iterable<Question>,
  onAsked: (asked: number) => void = () => undefined,
): Promise<Comparison> {
  const found = { differences: [], doubtful: [], unanswered: [] } as Record<
    'differences' | 'doubtful' | 'unanswered',
    Difference[]
  >;
  let asked = 0;
  for (const question of questions) {
    onAsked(++asked);
    const ours = await ask(first, question);
    // What runs out of steps or memory here might never end elsewhere.
    if (ours.answer.kind === 'failed') {
      keep(found.unanswered, { question, answers: [ours] });
      continue;
    }
    const theirs = [];
    for (const opinion of others) theirs.push(await ask(opinion, question));
    const other = theirs.filter(({ answer, anyOrder }) => !same(ours.answer, answer, anyOrder));
    if (other.length === 0) continue;
    const sure = other.some(({ answer }) => answer.doubt === undefined);
    const difference = { question, answers: [ours, ...other] };
    keep(sure ? found.differences : found.doubtful, difference);
  }
  return { asked, ...found };
}

const keep = (list: Difference[], difference: Difference) => {
  if (list.length < KEPT_MAX) list.push(difference);
};

async function ask(opinion: Opinion, { entrypoint, input, timeNs }: Question) {
  const answer = await opinion.answer(entrypoint, input, timeNs);
  return { name: opinion.name, answer, anyOrder: opinion.anyOrder === true };
}

function same(a: Answer, b: Answer, anyOrder: boolean): boolean {
  if (a.kind !== 'value' || b.kind !== 'value') return a.kind === b.kind;
  if (isDeepStrictEqual(a.value, b.value)) return true;
  return anyOrder && isDeepStrictEqual(sorted(a.value), sorted(b.value));
}

/** The value with every list in one order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item) => ({ item: sorted(item), text: '' }));
    for (const one of items) one.text = JSON.stringify(one.item);
    return items.sort((a, b) => (a.text < b.text ? -1 : 1)).map(({ item }) => item);
  }
  if (value === null || typeof value !== 'object') return value;
  const names = Object.keys(value).sort();
  return Object.fromEntries(names.map((name) => [name, sorted((value as never)[name])]));
}
