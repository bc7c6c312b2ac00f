/**
 * What a bundle is asked when its engines are compared: the cases that ship in it, every entrypoint on an empty input,
 * and inputs of our own making in which the words of the policy itself turn up. The same bundle gives the same
 * questions. Pure.
 */
import { z } from 'zod';
import type { Json, JsonObject } from '../call/tool-call.ts';
import type { Dialect } from '../decision/dialect.ts';
import { BundleRefused, bundleError, refuseBundle } from './bundle-error.ts';
import type { Manifest } from './manifest.ts';
import type { Question } from './opinion.ts';

export const CASES_FILE = 'cases.json';

const casesSchema = z.strictObject({
  cases: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(256),
        input: z.record(z.string(), z.json()),
        expect: z
          .strictObject({
            outcome: z.enum(['allow', 'deny', 'require_approval']),
            reason: z.string().max(256).optional(),
          })
          .optional(),
      }),
    )
    .max(100_000),
});

export type PolicyCase = z.output<typeof casesSchema>['cases'][number];

/** @throws BundleRefused `case_invalid` */
export function parseCases(bytes: Uint8Array | undefined, file = CASES_FILE): PolicyCase[] {
  if (bytes === undefined) return [];
  const parsed = casesSchema.safeParse(jsonOf(bytes, file));
  if (parsed.success) return parsed.data.cases;
  throw new BundleRefused(
    parsed.error.issues.map(({ path, message }) =>
      bundleError(
        'case_invalid',
        { file, path: path.map(String).join('.') },
        'another shape',
        message,
      ),
    ),
  );
}

function jsonOf(bytes: Uint8Array, file: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return refuseBundle('case_invalid', { file }, 'text that is no JSON', 'a list of cases');
  }
}

/** Who is asked, and when. */
export interface Asking {
  readonly dialect: Pick<Dialect, 'name' | 'entrypoint'>;
  readonly timeNs: bigint;
}

/** Each entrypoint on an empty input, then the cases. */
export function statedQuestions(
  manifest: Manifest,
  cases: readonly PolicyCase[],
  asking: Asking,
): Question[] {
  const empty = manifest.entrypoints.map((entrypoint) => ({
    name: `${entrypoint} on an empty input`,
    entrypoint,
    input: '{}',
    timeNs: asking.timeNs,
  }));
  return [...empty, ...cases.map((one) => caseQuestion(one, asking))];
}

export const caseQuestion = ({ name, input }: PolicyCase, asking: Asking): Question => ({
  name,
  entrypoint: asking.dialect.entrypoint,
  input: JSON.stringify(input),
  timeNs: asking.timeNs,
});

/** @param words texts of the policy and its data. */
export function* generatedQuestions(
  count: number,
  words: readonly string[],
  { dialect, timeNs }: Asking,
): Generator<Question> {
  const draw = new Draw(count, words.length === 0 ? ['word'] : words);
  for (let at = 1; at <= count; at++) {
    const made = inputFrom(draw);
    const input = JSON.stringify(dialect.name === 'envoy' ? envoyInputFrom(made, draw) : made);
    yield { name: `generated input ${at}`, entrypoint: dialect.entrypoint, input, timeNs };
  }
}

/** Owns a sequence of numbers that only depends on its seed (mulberry32). */
class Draw {
  #state: number;
  readonly #words: readonly string[];

  constructor(seed: number, words: readonly string[]) {
    this.#state = seed;
    this.#words = words;
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  word(): string {
    const word = this.of(this.#words);
    const other = this.of(['', ' ', '@example.com', 'é😀', '\u0000', '%d', '../']);
    return this.below(4) === 0 ? `${word}${other}${this.of(this.#words)}` : word;
  }

  list<T>(max: number, make: () => T): T[] {
    return Array.from({ length: this.below(max + 1) }, make);
  }

  value(depth: number): Json {
    switch (this.below(depth > 2 ? 5 : 7)) {
      case 0:
        return this.of([0, -1, 1.5, 500, 1e21, 9_007_199_254_740_991]);
      case 1:
        return this.below(2) === 0;
      case 2:
        return null;
      case 5:
        return this.list(3, () => this.value(depth + 1));
      case 6:
        return this.object(depth);
      default:
        return this.word();
    }
  }

  object(depth: number): JsonObject {
    const keys = ['to', 'cc', 'bcc', 'subject', 'text', 'amount', 'path'];
    const entries = this.list(4, () => {
      const key = this.below(3) === 0 ? this.word() : this.of(keys);
      return [key, this.value(depth + 1)] as const;
    });
    return Object.fromEntries(entries);
  }
}

/** A part may be missing or of another type: a policy must be asked about that, too. */
function inputFrom(draw: Draw): JsonObject {
  const parts: JsonObject = {
    phase: draw.of(['request', 'response']),
    environment: draw.of(['prod', 'test', draw.word()]),
    agent: { id: draw.word(), verified_by: 'sidecar-config', assurance: 'none' },
    tool: {
      name: draw.word(),
      server: draw.of([null, draw.word()]),
      operation: draw.of(['read', 'write', 'list', 'connect', 'unknown']),
      risk: draw.of(['low', 'medium', 'high']),
      sink: draw.of([null, 'mail', draw.word()]),
      known: draw.below(2) === 0,
      definition_hash: null,
    },
    arguments: draw.object(0),
    arguments_state: draw.of(['parsed', 'none', 'opaque', 'too_large']),
    attachments: draw.list(2, () => ({
      name: draw.word(),
      media_type: draw.of(['application/pdf', draw.word()]),
      bytes: draw.of([0, 1000, 30_000_000]),
      sha256: '0'.repeat(64),
      source: draw.of(['explicit_user_upload', 'unknown']),
      age_minutes: draw.of([null, 0, 5.25, 600]),
    })),
    destination: {
      scheme: 'https',
      host: draw.of(['api.example.com', draw.word()]),
      port: draw.of([80, 443]),
      path: `/${draw.word()}`,
      segments: draw.list(3, () => draw.word()),
      query: {},
    },
    http: { method: draw.of(['GET', 'POST']), headers: {} },
  };
  const kept = Object.entries(parts).filter(() => draw.below(12) > 0);
  const bent = kept.map(([key, value]) => [key, draw.below(25) === 0 ? draw.value(0) : value]);
  return Object.fromEntries(bent) as JsonObject;
}

/** The same parts where a policy written for OPA-Envoy looks for them. */
function envoyInputFrom(made: JsonObject, draw: Draw): JsonObject {
  const path = draw.list(3, () => draw.word());
  const headers = draw.list(3, () => [draw.word().toLowerCase(), draw.word()] as const);
  const parts: JsonObject = {
    attributes: {
      source: { principal: draw.word() },
      request: {
        http: {
          method: draw.of(['GET', 'POST', draw.word()]),
          path: `/${path.join('/')}`,
          host: draw.of(['api.example.com', draw.word()]),
          scheme: draw.of(['http', 'https']),
          headers: Object.fromEntries(headers),
        },
      },
    },
    parsed_path: path,
    parsed_query: Object.fromEntries(draw.list(2, () => [draw.word(), [draw.word()]] as const)),
    parsed_body: made['arguments'] ?? null,
    truncated_body: draw.below(8) === 0,
    source_principal: draw.word(),
  };
  const kept = Object.entries(parts).filter(() => draw.below(12) > 0);
  return Object.fromEntries(kept);
}
