/**
 * Runs scenario files: each call is played and compared with what the author expects; then, if wanted, every good call
 * is mutated and played again, and whatever is allowed all the same is reported. Shell: reads scenario files.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Obligation } from '../decision/verdict.ts';
import { readDocument } from './document.ts';
import { inputMutations, type Mutation } from './mutation.ts';
import { type Played, play, playInput, type Stage } from './play.ts';
import { AuthorError, type LoadedPolicy } from './policy-source.ts';
import { seeded } from './random.ts';
import { type Expectation, isReasonCode, type Scenario, scenarioFile } from './scenario.ts';
import { wireMutations } from './wire-mutation.ts';

export interface ScenarioResult {
  readonly file: string;
  readonly name: string;
  readonly ok: boolean;
  readonly outcome: string;
  readonly reason: string;
  /** Codes of the rules that spoke, where they are others than the reason. */
  readonly codes: readonly string[];
  /** What was found instead of what was expected; empty when ok. */
  readonly problems: readonly string[];
  readonly ms: number;
}

/** A mutated call that is still allowed. */
export interface Survivor extends Mutation {
  readonly file: string;
  readonly scenario: string;
  /** The scenario says that this may be allowed. */
  readonly expected: boolean;
}

export interface MutationReport {
  readonly goodCalls: number;
  readonly tried: number;
  readonly survivors: readonly Survivor[];
}

export interface Simulation {
  readonly results: readonly ScenarioResult[];
  readonly mutations: MutationReport | null;
}

export interface SimulateOptions {
  readonly policy: LoadedPolicy;
  readonly files: readonly string[];
  /** Names of scenarios to play; all when null. */
  readonly only: RegExp | null;
  /** Rounds of mutations and the seed that draws them; null for none. */
  readonly mutate: { readonly rounds: number; readonly seed: number } | null;
  readonly onPlayed: (count: number) => void;
}

export async function simulate(options: SimulateOptions): Promise<Simulation> {
  const results: ScenarioResult[] = [];
  const survivors: Survivor[] = [];
  let tried = 0;
  let goodCalls = 0;
  for (const path of options.files) {
    const stage = { policy: options.policy, path, file: readDocument(path, scenarioFile) };
    for (const scenario of stage.file.scenarios) {
      if (options.only !== null && !options.only.test(scenario.name)) continue;
      const started = performance.now();
      const played = await play(stage, scenario);
      const problems = compared(played, scenario.expect);
      const { outcome, reason } = played;
      const ok = problems.length === 0;
      const ms = performance.now() - started;
      const codes = codesOf(played).filter((code) => code !== reason);
      const name = scenario.name;
      results.push({ file: path, name, ok, outcome, reason, codes, problems, ms });
      options.onPlayed(results.length + tried);
      if (!ok || scenario.expect.outcome !== 'allow' || options.mutate === null) continue;
      goodCalls += 1;
      const mutated = await mutate(stage, scenario, played, options.mutate);
      tried += mutated.tried;
      survivors.push(...mutated.survivors);
    }
  }
  const mutations = options.mutate === null ? null : { goodCalls, tried, survivors };
  return { results, mutations };
}

/** Scenario files of a directory and those below it, or the file itself. @throws AuthorError when there is none. */
export function scenarioFiles(path: string): readonly string[] {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) throw new AuthorError(`${path}: found nothing, expected scenario files`);
  if (!facts.isDirectory()) return [path];
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ya?ml|json)$/.test(name))
    .sort()
    .map((name) => join(path, name));
  if (files.length > 0) return files;
  throw new AuthorError(`${path}: found no *.yaml file, expected scenario files`);
}

/** What differs from the expectation, in words. */
function compared(played: Played, expect: Expectation): readonly string[] {
  const problems: string[] = [];
  if (played.outcome !== expect.outcome) {
    const why = [played.reason, played.detail, ...codesOf(played)].filter((part) => part !== null);
    problems.push(
      `outcome: found ${played.outcome} (${why.join(', ')}), expected ${expect.outcome}`,
    );
  }
  const { reason, obligations } = expect;
  if (reason !== undefined && !hasReason(played, reason)) {
    const found = isReasonCode(reason) ? played.reason : codesOf(played).join(', ') || 'none';
    problems.push(`reason: found ${found}, expected ${reason}`);
  }
  if (obligations !== undefined) problems.push(...missing(played, obligations));
  return problems;
}

const codesOf = ({ verdict }: Played) => [
  ...new Set((verdict?.reasons ?? []).map(({ code }) => code)),
];

const hasReason = (played: Played, code: string) =>
  isReasonCode(code) ? played.reason === code : codesOf(played).includes(code);

function missing(
  { verdict }: Played,
  expected: NonNullable<Expectation['obligations']>,
): readonly string[] {
  const found = verdict?.obligations ?? [];
  const shown = JSON.stringify(found);
  if (expected.length === 0 && found.length > 0) {
    return [`obligations: found ${shown}, expected none`];
  }
  return expected
    .filter((one) => !found.some((obligation) => holds(obligation, one)))
    .map((one) => `obligations: found ${shown}, expected one with ${JSON.stringify(one)}`);
}

const holds = (obligation: Obligation, part: Record<string, unknown>) =>
  Object.entries(part).every(([key, value]) => isDeepStrictEqual(obligation[key], value));

async function mutate(
  stage: Stage,
  scenario: Scenario,
  good: Played,
  { rounds, seed }: NonNullable<SimulateOptions['mutate']>,
): Promise<{ readonly tried: number; readonly survivors: readonly Survivor[] }> {
  const random = seeded(seed);
  const tried = new Set<string>();
  const survivors: Survivor[] = [];
  const look = (mutation: Mutation, played: Played) => {
    if (played.outcome !== 'allow') return;
    const { kind, pointer, change } = mutation;
    const { still_allowed: listed } = scenario;
    const expected = listed.includes(kind) || listed.includes(`${kind} ${pointer}`);
    const place = { file: stage.path, scenario: scenario.name };
    survivors.push({ ...place, kind, pointer, change, expected });
  };
  const fresh = ({ kind, pointer, change }: Mutation) => {
    const key = `${kind} ${pointer} ${change}`;
    return tried.has(key) ? false : tried.add(key);
  };
  for (let round = 0; round < rounds; round += 1) {
    for (const mutation of good.input === null ? [] : inputMutations(good.input, random)) {
      if (fresh(mutation)) look(mutation, playInput(stage, mutation.input));
    }
    for (const mutation of wireMutations(scenario, random)) {
      if (fresh(mutation)) look(mutation, await play(stage, mutation.scenario));
    }
  }
  return { tried: tried.size, survivors };
}
