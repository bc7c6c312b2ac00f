/**
 * Policy inputs that nobody recorded: calls of tools that policies name, with texts and numbers that policies speak of
 * and others close by. Repeatable: everything is drawn from one seed. Pure.
 */
import type { ToolEntry } from '../call/catalogue.ts';
import type { Json, JsonObject } from '../call/tool-call.ts';
import type { AttachmentFact, PolicyInput } from '../decision/input.ts';
import type { Constants, Vocabulary } from './constants.ts';
import type { Random } from './random.ts';
import { STATED_TRACE_ID, STATED_UID, timeNsOf } from './stated-facts.ts';

const STRANGERS = ['stranger@elsewhere.example', 'x@attacker.example'];
const USUAL_AGENT = 'agent';
const MINUTE_NS = 60_000_000_000n;
const WEEK_MINUTES = 7 * 24 * 60;

/** Draws one of the parts of an input. */
type Part = (source: Source, input: PolicyInput) => Partial<PolicyInput>;

export interface Source {
  readonly words: Vocabulary;
  readonly random: Random;
}

export function generated(source: Source): PolicyInput {
  let input = EMPTY;
  for (const part of [toolPart, ...PARTS]) input = { ...input, ...part(source, input) };
  return input;
}

/** One part of an input drawn again: what separates two policies is often one step away from what both allow. */
export function varied(source: Source, input: PolicyInput): PolicyInput {
  const part = source.random.pick([oneArgument, oneArgument, ...PARTS]) as Part;
  const changed = { ...input, ...part(source, input) };
  return { ...changed, ...reading(source, changed) };
}

function toolPart({ words, random }: Source): Partial<PolicyInput> {
  const entry = random.pick(
    words.named.length > 0 && random.chance(0.8) ? words.named : words.tools,
  );
  if (entry === undefined || random.chance(0.05)) return strangeTool(random);
  const { name, operation, risk, sink = null } = entry;
  const server = random.pick(entry.mcp?.servers ?? entry.http?.servers ?? []) ?? null;
  const host = random.pick(entry.http?.hosts ?? []) ?? `${server ?? 'tools'}.example`;
  const path = (entry.http?.path ?? '/mcp').replaceAll(/\{[^}]*\}/g, 'x');
  return {
    tool: { name, server, operation, risk, sink, known: true, definition_hash: null },
    destination: place(
      host.replace(/^\*/, 'any'),
      path,
      entry.http === undefined ? 'http' : 'https',
    ),
    http: { method: random.pick(entry.http?.methods ?? []) ?? 'POST', headers: {} },
    mcp: entry.mcp === undefined ? null : { version: '2025-11-25', method: 'tools/call' },
    arguments: usualArguments(entry),
  };
}

function strangeTool(random: Random): Partial<PolicyInput> {
  const method = random.pick(['GET', 'POST']) as string;
  const operation = method === 'GET' ? 'read' : 'write';
  return {
    tool: {
      name: `http.${method.toLowerCase()}`,
      server: null,
      operation,
      risk: 'high',
      sink: null,
      known: false,
      definition_hash: null,
    },
    http: { method, headers: {} },
  };
}

const place = (host: string, path: string, scheme: string): PolicyInput['destination'] => ({
  scheme,
  host,
  port: scheme === 'https' ? 443 : 80,
  path,
  segments: path.slice(1).split('/'),
  query: {},
  ip: null,
  ip_class: null,
  tls_intercepted: scheme === 'https',
});

/** What recognition gives for a mail tool, whatever the agent says. */
const usualArguments = ({ arguments: spec }: ToolEntry): JsonObject =>
  spec?.mail === undefined ? {} : { to: [], cc: [], bcc: [], subject: '', text: '', html: '' };

const recipients: Part = ({ words, random }, { arguments: args }) => {
  if (!Array.isArray(args['to'])) return {};
  const list = (most: number): Json =>
    Array.from({ length: random.below(most + 1) }, () => address(words, random));
  const to = random.chance(0.85) ? [address(words, random)] : list(3);
  const copy = () => (random.chance(0.75) ? [] : list(2));
  const subject = random.chance(0.4) ? text(words, random) : 'hello';
  const body = random.chance(0.4) ? text(words, random) : 'a text';
  return { arguments: { ...args, to, cc: copy(), bcc: copy(), subject, text: body } };
};

const someArguments: Part = (source, input) => {
  let { arguments: args } = input;
  const most = Array.isArray(args['to']) ? 1 : 3;
  for (let count = source.random.below(most + 1); count > 0; count -= 1) {
    args = oneArgument(source, { ...input, arguments: args }).arguments ?? args;
  }
  return { arguments: args };
};

const oneArgument: Part = ({ words, random }, { arguments: args }) => {
  const present = Object.keys(args);
  const pool = present.length > 0 && random.chance(0.3) ? present : constants(words, random).keys;
  const key = random.pick(pool.length > 0 ? pool : words.all.keys);
  if (key === undefined || Array.isArray(args[key])) return {};
  return { arguments: { ...args, [key]: value(words, random) } };
};

const attached: Part = ({ words, random }, { arguments: args }) => {
  if (!Array.isArray(args['to'])) return {};
  const attachments = Array.from({ length: random.chance(0.7) ? 0 : 1 + random.below(2) }, () => {
    const uploaded = random.chance(0.7);
    const fact: AttachmentFact = {
      name: 'file.pdf',
      media_type: random.pick(['application/pdf', 'text/plain', 'image/png']) as string,
      bytes: Math.max(0, Math.round(random.chance(0.5) ? 1000 : number(words, random))),
      sha256: 'a'.repeat(64),
      source: uploaded ? 'explicit_user_upload' : 'unknown',
      age_minutes: uploaded ? Math.max(0, random.chance(0.5) ? 5 : number(words, random)) : null,
    };
    return fact;
  });
  return { attachments };
};

const moment: Part = ({ random }) => {
  const minutes = BigInt(random.below(WEEK_MINUTES));
  const time_ns = timeNsOf(undefined) + minutes * MINUTE_NS;
  return { time_ns, time: new Date(Number(time_ns / 1_000_000n)).toISOString() };
};

const caller: Part = ({ words, random }) => ({
  agent: { ...EMPTY.agent, id: random.chance(0.6) ? USUAL_AGENT : text(words, random) },
  environment: random.chance(0.6) ? 'prod' : text(words, random),
});

const destination: Part = ({ words, random }, { destination: usual }) => {
  if (random.chance(0.7)) return {};
  const { hosts } = constants(words, random);
  const host = random.pick([...hosts, 'attacker.example']) as string;
  return { destination: { ...usual, host } };
};

/** `none` is what recognition says of a call without arguments, and of no other. */
const reading: Part = ({ random }, { arguments: args }) => {
  if (Object.keys(args).length === 0) return { arguments_state: 'none' };
  const unread = random.chance(0.5) ? 'opaque' : 'too_large';
  return { arguments_state: random.chance(0.9) ? 'parsed' : unread };
};

const PARTS: readonly Part[] = [
  recipients,
  someArguments,
  attached,
  moment,
  caller,
  destination,
  reading,
];

/** Where the policies differ is where their answers do. */
function constants({ all, differing }: Vocabulary, random: Random): Constants {
  return differing.texts.length + differing.numbers.length > 0 && random.chance(0.5)
    ? differing
    : all;
}

function text(words: Vocabulary, random: Random): string {
  const { texts } = constants(words, random);
  return random.pick(texts) ?? random.pick(words.all.texts) ?? 'word';
}

function address(words: Vocabulary, random: Random): string {
  if (random.chance(0.15)) return random.pick(STRANGERS) as string;
  const { addresses, hosts } = constants(words, random);
  const known = random.pick(addresses) ?? random.pick(words.all.addresses);
  if (known !== undefined && random.chance(0.8)) return known;
  const host = random.pick(hosts) ?? random.pick(words.all.hosts) ?? 'elsewhere.example';
  return `someone@${host}`;
}

/** A number that a policy names, or one beside it. */
function number(words: Vocabulary, random: Random): number {
  const { numbers } = constants(words, random);
  const named = random.pick(numbers) ?? random.pick(words.all.numbers) ?? 1;
  return named + (random.pick([-1, 0, 1, 0.5, named]) as number);
}

function value(words: Vocabulary, random: Random): Json {
  const draw = random.below(10);
  if (draw < 4) return number(words, random);
  if (draw < 7) return text(words, random);
  if (draw < 8) return random.chance(0.5);
  return draw < 9 ? [text(words, random), address(words, random)] : null;
}

const EMPTY: PolicyInput = {
  uid: STATED_UID,
  phase: 'request',
  time: '2026-11-23T10:00:00.000Z',
  time_ns: timeNsOf(undefined),
  environment: 'prod',
  run: { id: 'run-1', step: 1, trace_id: STATED_TRACE_ID },
  agent: {
    id: USUAL_AGENT,
    verified_by: 'sidecar-config',
    assurance: 'network',
    key_thumbprint: null,
  },
  user: null,
  workload: { namespace: null, pod: null, uid: null, service_account: null, labels: {} },
  tool: {
    name: 'http.get',
    server: null,
    operation: 'read',
    risk: 'high',
    sink: null,
    known: false,
    definition_hash: null,
  },
  arguments: {},
  arguments_state: 'parsed',
  attachments: [],
  destination: place('elsewhere.example', '/', 'https'),
  http: { method: 'GET', headers: {} },
  mcp: null,
  scope: { kind: 'none', id: null },
  context: { labels: [], inputs: [] },
  state: { limits: {}, history: [], approval: null, break_glass: null },
  response: null,
};

/** Inputs that differ from this one by being simpler in one place. */
export function* simpler(input: PolicyInput): Generator<PolicyInput> {
  const { arguments: args } = input;
  for (const [key, value] of Object.entries(args)) {
    const plain = Array.isArray(value) ? [] : typeof value === 'string' ? '' : undefined;
    if (plain !== undefined && JSON.stringify(value) !== JSON.stringify(plain)) {
      yield { ...input, arguments: { ...args, [key]: plain } };
    }
    if (Object.keys(args).length === 1) continue;
    yield {
      ...input,
      arguments: Object.fromEntries(Object.entries(args).filter(([name]) => name !== key)),
    };
  }
  if (input.attachments.length > 0) yield { ...input, attachments: input.attachments.slice(1) };
  if (input.agent.id !== USUAL_AGENT) yield { ...input, agent: EMPTY.agent };
  if (input.environment !== EMPTY.environment) yield { ...input, environment: EMPTY.environment };
  if (input.time_ns !== EMPTY.time_ns) yield { ...input, time: EMPTY.time, time_ns: EMPTY.time_ns };
}
