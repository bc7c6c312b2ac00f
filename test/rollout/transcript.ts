/**
 * Transcripts of rollouts as people read them: a rule, a specification, and a table of moments with what is seen and
 * what must follow. Each state goes through its ConfigMap, as if the controller were started anew every time. Pure.
 */
import assert from 'node:assert/strict';
import { parse } from 'yaml';
import { durationMs } from '../../src/rollout/duration.ts';
import { advance, directiveOf, initialState } from '../../src/rollout/machine.ts';
import { type PolicySetSpec, policySetSchema } from '../../src/rollout/policy-set.ts';
import type {
  Advance,
  Analysis,
  CandidateSeen,
  Command,
  Look,
  Observation,
  RolloutState,
  Verb,
} from '../../src/rollout/state.ts';
import { readState, renderState } from '../../src/rollout/state-codec.ts';
import { commandId } from '../../src/rollout/turn.ts';

const DEFAULT_START = '2026-03-02T00:00:00Z';

/** Letters A to F name revisions. */
export const revisionOf = (letter: string) => ({
  digest: `sha256:${letter.toLowerCase().repeat(64)}`,
  revision: letter,
  pieces: 1,
});

export function specOf(fields: object): PolicySetSpec {
  return policySetSchema.parse({
    apiVersion: 'egret.dev/v1alpha1',
    kind: 'PolicySet',
    metadata: { name: 'shop' },
    spec: { candidate: { bundle: 'shop' }, ...fields },
  }).spec;
}

export const written = (state: RolloutState): RolloutState => {
  const read = readState(renderState(state));
  assert.ok(read !== null, 'a state that was written can be read');
  return read;
};

interface World {
  fields: Readonly<Record<string, unknown>>;
  spec: PolicySetSpec | null;
  candidate: CandidateSeen;
  author: string | null;
  command: Command | null;
  commands: number;
  rollouts: number;
}

/** @returns the transcript with what really followed, as it should be written. */
export function played(text: string): string {
  const [head = '', table = ''] = text.split('---\n');
  const { start = DEFAULT_START, ...fields } = (parse(head) ?? {}) as Record<string, unknown>;
  const startMs = Date.parse(String(start));
  const world: World = {
    fields,
    spec: specOf(fields),
    candidate: { status: 'missing' },
    author: null,
    command: null,
    commands: 0,
    rollouts: 1,
  };
  let state = initialState('shop', startMs);
  const rows = table
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [time = '', action = ''] = line.split('|').map((cell) => cell.trim());
      const nowMs = startMs + (durationMs(time) ?? Number.NaN);
      const analysis = act(world, action, state);
      const next = advance(written(state), seen(world, analysis), nowMs);
      if (JSON.stringify(next.state).includes(`"r${world.rollouts}"`)) world.rollouts += 1;
      state = next.state;
      return [time, action, ...followed(next)];
    });
  return `${head}---\n${aligned(rows)}\n`;
}

function seen(world: World, analysis: Analysis | null): Observation {
  const { spec, candidate, author, command, rollouts } = world;
  const fresh = { rolloutId: `r${rollouts}`, salt: String(rollouts).padStart(32, '0') };
  return { spec, candidate, command, analysis, author, fresh };
}

function followed({ state, events, urgent }: Advance): string[] {
  const { weight, candidate } = directiveOf(state);
  const reason = state.pauseReason === null ? '' : `(${state.pauseReason})`;
  const step = state.rollout === null ? '-' : renderState(state)['step'];
  const revisions = `${state.stable?.revision ?? 'none'}>${candidate?.revision ?? '-'}`;
  const shown = events.map((event) => event.reason).join(' ');
  return [
    `${state.phase}${reason} ${step} ${weight / 100}% ${revisions}`,
    `${shown}${urgent ? ' !' : ''}`.trim(),
  ];
}

const aligned = (rows: readonly string[][]) => {
  const widths = [0, 1, 2].map((at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join(' | ')
        .trimEnd(),
    )
    .join('\n');
};

/** @returns the look of this moment. */
function act(world: World, action: string, state: RolloutState): Analysis | null {
  const [verb = '', ...words] = action.split(' ');
  const rest = words.join(' ');
  if (verb === 'bundle') world.candidate = bundleOf(words);
  else if (verb === 'author') world.author = rest;
  else if (verb === 'spec') respecify(world, rest);
  else if (verb === 'say') say(world, words, state);
  else if (verb === 'look') return lookOf(rest);
  else assert.equal(verb, 'wait', `an action that is known: ${action}`);
  return null;
}

function bundleOf([first = '', second = '']: readonly string[]): CandidateSeen {
  if (first === 'missing') return { status: 'missing' };
  if (first !== 'bad') return { status: 'stored', revision: revisionOf(first) };
  const { digest } = revisionOf(second);
  return { status: 'rejected', digest, errors: ['bundle.unsigned: no signature'] };
}

function respecify(world: World, yaml: string): void {
  if (yaml === 'gone') {
    world.spec = null;
    return;
  }
  world.fields = { ...world.fields, ...(parse(yaml) as object) };
  world.spec = specOf(world.fields);
}

/** `promote`, `promote by ann`, `promote of r1`, `again` for the same annotation once more. */
function say(world: World, words: readonly string[], state: RolloutState): void {
  const [verb] = words;
  if (verb === 'again') return;
  const after = (word: string) => (words.includes(word) ? words[words.indexOf(word) + 1] : null);
  const rolloutId = after('of') ?? commandId(state);
  world.commands += 1;
  world.command = {
    text: `${verb}:${rolloutId}:${world.commands}`,
    verb: verb as Verb,
    rolloutId,
    by: after('by') ?? '',
    why: 'as agreed',
  };
}

/** `passed`, `failed`, `hard`, `inconclusive`, `nothing`; then `allowed N` and `replayed N denied N widened N`. */
export function lookOf(text: string): Analysis {
  const words = text.split(' ');
  const number = (word: string) =>
    words.includes(word) ? Number(words[words.indexOf(word) + 1]) : 0;
  const newlyAllowed = number('allowed');
  const decisions = number('replayed');
  return {
    look: LOOKS[words[0] ?? ''] ?? assert.fail(`a look that is known: ${text}`),
    newlyAllowed,
    examples: newlyAllowed === 0 ? [] : [EXAMPLE],
    replay: words.includes('replayed')
      ? { done: true, decisions, newlyDenied: number('denied'), newlyAllowed: number('widened') }
      : null,
  };
}

const LOOKS: Readonly<Record<string, Look>> = {
  passed: { result: 'passed' },
  failed: { result: 'failed', hard: false, reasons: ['denies 9 of 300 calls'] },
  hard: { result: 'failed', hard: true, reasons: ['1 sidecars took themselves out'] },
  inconclusive: { result: 'inconclusive', reasons: ['3 calls, expected at least 200'] },
  nothing: { result: 'no_data', reasons: ['no sidecar reports'] },
};

const said = { outcome: 'deny', reason: 'policy.denied', rule: 'shop.refund' };
const EXAMPLE = {
  class: 'newly_allowed',
  at: '2026-03-02T00:00:00Z',
  decisionId: '0001',
  tool: 'refund',
  stable: said,
  candidate: { ...said, outcome: 'allow', reason: 'policy.allowed' },
} as const;
