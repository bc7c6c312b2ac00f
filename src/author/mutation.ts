/**
 * Changes that turn a good call into one that a policy should think about again: another recipient, a hidden copy, a
 * larger amount, another time, another place, a file nobody provided. Arguments and facts are changed in what policy
 * sees; hosts and paths of HTTP requests and the servers of MCP messages on the wire, so that recognition runs again.
 * Pure.
 */
import type { Json, JsonObject } from '../call/tool-call.ts';
import type { PolicyInput } from '../decision/input.ts';
import type { Random } from './random.ts';

export const MUTATION_KINDS = [
  'recipient',
  'bcc',
  'amount',
  'time',
  'host',
  'path',
  'server',
  'provenance',
] as const;
export type MutationKind = (typeof MUTATION_KINDS)[number];

export interface Mutation {
  readonly kind: MutationKind;
  /** JSON pointer into the policy input of what was changed. */
  readonly pointer: string;
  /** What it became, for a person. */
  readonly change: string;
}

export interface InputMutation extends Mutation {
  readonly input: PolicyInput;
}

const OUTSIDER = 'collector@attacker.example';
/** Who a message is from is no recipient. */
const SENDERS: ReadonlySet<string> = new Set(['from', 'sender']);
/** A text of digits is an amount only under such a name. */
const AMOUNT_NAME = /amount|price|total|value|sum|cost|quantity|qty|limit|balance|budget|notional/i;
const ADDRESS = /^[^\s@<>",]+@[^\s@<>",]+$/;
const DEPTH_MAX = 8;
const HOUR_NS = 3_600_000_000_000n;
const LEAVES_MAX = 200;

/** Every kind of change that this input has something for, once each; the details are drawn. */
export function inputMutations(input: PolicyInput, random: Random): readonly InputMutation[] {
  return [
    ...recipients(input, random),
    ...copies(input),
    ...amounts(input, random),
    ...times(input, random),
    ...provenances(input, random),
  ];
}

interface Leaf {
  readonly path: readonly string[];
  readonly value: Json;
}

function leavesOf(value: Json, path: readonly string[] = [], found: Leaf[] = []): readonly Leaf[] {
  if (found.length >= LEAVES_MAX) return found;
  if (value === null || typeof value !== 'object') found.push({ path, value });
  else if (path.length < DEPTH_MAX) {
    for (const [key, child] of Object.entries(value)) leavesOf(child, [...path, key], found);
  }
  return found;
}

function recipients(input: PolicyInput, random: Random): readonly InputMutation[] {
  const addresses = leavesOf(input.arguments).filter(
    ({ path: [name = ''], value }) =>
      typeof value === 'string' && ADDRESS.test(value) && !SENDERS.has(name),
  );
  return addresses.map(({ path, value }) => {
    const address = value as string;
    const [local = '', domain = ''] = address.split('@');
    const other = random.pick([
      OUTSIDER,
      `${local}@${domain}.attacker.example`,
      `${local}@${lookAlike(domain)}`,
      `other.${local}@${domain}`,
    ]) as string;
    return withArgument(input, 'recipient', path, other);
  });
}

const lookAlike = (domain: string) =>
  domain.includes('l') ? domain.replace('l', '1') : `x${domain}`;

function copies(input: PolicyInput): readonly InputMutation[] {
  if (!['to', 'cc', 'bcc'].some((name) => Array.isArray(input.arguments[name]))) return [];
  return ['bcc', 'cc'].map((name) => {
    const list = input.arguments[name];
    const more = [...(Array.isArray(list) ? (list as readonly Json[]) : []), OUTSIDER];
    const changed = { ...input, arguments: { ...input.arguments, [name]: more } };
    const pointer = `/arguments/${name}`;
    return { kind: 'bcc', pointer, change: `with ${OUTSIDER}`, input: changed } as const;
  });
}

function amounts(input: PolicyInput, random: Random): readonly InputMutation[] {
  return leavesOf(input.arguments).flatMap(({ path, value }) => {
    const digits = typeof value === 'string' && /^[0-9]{1,12}(\.[0-9]+)?$/.test(value);
    const amount = digits && AMOUNT_NAME.test(path.at(-1) ?? '') ? Number(value) : value;
    if (typeof amount !== 'number') return [];
    const raised = Math.abs(amount) * (random.pick([2, 10, 1000]) as number) + 1;
    return [
      withArgument(input, 'amount', path, typeof value === 'string' ? String(raised) : raised),
    ];
  });
}

function times(input: PolicyInput, random: Random): readonly InputMutation[] {
  const hours = BigInt(random.pick([12, 18, 24 * 5, 24 * 365, 1 + random.below(167)]) as number);
  const time_ns = input.time_ns + hours * HOUR_NS;
  const time = new Date(Number(time_ns / 1_000_000n)).toISOString();
  return [{ kind: 'time', pointer: '/time', change: time, input: { ...input, time, time_ns } }];
}

function provenances(input: PolicyInput, random: Random): readonly InputMutation[] {
  return input.attachments.map((attachment, at) => {
    const aged = attachment.source !== 'unknown' && random.chance(0.5);
    const fact = aged
      ? { ...attachment, age_minutes: 60 * 24 * 365 }
      : { ...attachment, source: 'unknown' as const, age_minutes: null };
    const attachments = input.attachments.with(at, fact);
    const change = aged ? 'provided a year ago' : 'provided by nobody';
    const pointer = `/attachments/${at}`;
    return { kind: 'provenance', pointer, change, input: { ...input, attachments } };
  });
}

function withArgument(
  input: PolicyInput,
  kind: MutationKind,
  path: readonly string[],
  value: Json,
): InputMutation {
  const changed = replaced(input.arguments, path, value) as JsonObject;
  const pointer = ['', 'arguments', ...path.map(escaped)].join('/');
  return { kind, pointer, change: JSON.stringify(value), input: { ...input, arguments: changed } };
}

const escaped = (part: string) => part.replaceAll('~', '~0').replaceAll('/', '~1');

/** A copy with one leaf replaced. */
function replaced(node: Json, path: readonly string[], value: Json): Json {
  const [key, ...rest] = path;
  if (key === undefined || node === null || typeof node !== 'object') return value;
  if (Array.isArray(node)) {
    const at = Number(key);
    return (node as readonly Json[]).with(at, replaced(node[at] as Json, rest, value));
  }
  return Object.fromEntries(
    Object.entries(node).map(([name, child]) => [
      name,
      name === key ? replaced(child, rest, value) : child,
    ]),
  );
}
