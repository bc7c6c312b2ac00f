/**
 * Numbers for the analysis from a Prometheus server: one instant query for each check (HTTP API `/api/v1/query`). A
 * query that has no result, several, or none that is a number is no data; a server that fails is no data for all of
 * them. Shell: owns nothing, asks with a bound on time and size.
 */
import { request } from 'undici';
import { z } from 'zod';
import { durationText } from '../rollout/duration.ts';
import type { AnalysisSpec } from '../rollout/policy-set.ts';

type Prometheus = NonNullable<AnalysisSpec['prometheus']>;
type Check = keyof Prometheus['queries'];
export type Numbers = Readonly<Partial<Record<Check, number>>>;

export interface Asked {
  readonly set: string;
  readonly rolloutId: string;
  /** Milliseconds since the step began. */
  readonly windowMs: number;
}

const TIMEOUT_MS = 10_000;
const BYTES_MAX = 256 * 1024;

const answerSchema = z.object({
  status: z.literal('success'),
  data: z.discriminatedUnion('resultType', [
    z.object({ resultType: z.literal('scalar'), result: z.tuple([z.number(), z.string()]) }),
    z.object({
      resultType: z.literal('vector'),
      result: z.array(z.object({ value: z.tuple([z.number(), z.string()]) })),
    }),
  ]),
});

/** @returns the checks that have a number; the others are no data. Never rejects. */
export async function askPrometheus(
  { url, queries }: Prometheus,
  asked: Asked,
  failed: (error: unknown) => void,
): Promise<Numbers> {
  const answers = await Promise.all(
    Object.entries(queries).map(async ([check, query]) => {
      try {
        const value = await instant(url, filled(query, asked));
        return value === null ? [] : [[check, value] as const];
      } catch (error) {
        failed(error);
        return [];
      }
    }),
  );
  return Object.fromEntries(answers.flat());
}

/** Names of sets and rollouts hold no quotes or backslashes, so they can stand in a label matcher. */
export const filled = (query: string, { set, rolloutId, windowMs }: Asked): string =>
  query
    .replaceAll('{{set}}', set)
    .replaceAll('{{rollout}}', rolloutId)
    .replaceAll('{{window}}', durationText(Math.max(windowMs, 60_000)));

async function instant(base: string, query: string): Promise<number | null> {
  const url = new URL(`${base.replace(/\/$/, '')}/api/v1/query`);
  const { statusCode, body } = await request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ query }).toString(),
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BYTES_MAX) throw new Error(`${url.origin}: found a longer answer than expected`);
    chunks.push(chunk);
  }
  if (statusCode !== 200)
    throw new Error(`${url.origin}: found status ${statusCode}, expected 200`);
  return numberOf(JSON.parse(Buffer.concat(chunks).toString('utf8')));
}

/** Pure. NaN, which a division by nothing gives, is no data. */
function numberOf(answer: unknown): number | null {
  const parsed = answerSchema.safeParse(answer);
  if (!parsed.success) throw new Error('found an answer that is none of the Prometheus API');
  const { data } = parsed.data;
  const [first, second] = data.resultType === 'scalar' ? [{ value: data.result }] : data.result;
  if (first === undefined || second !== undefined) return null;
  const value = Number(first.value[1]);
  return Number.isFinite(value) ? value : null;
}
