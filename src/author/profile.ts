/**
 * What the calls of one tool that went through have in common, as narrow as people can still read: listed names and
 * places, the recipients that were seen, amounts up to the largest, texts up to the longest. Where that would let a
 * refused call through, it is narrowed: first every text is listed, then every call; what cannot be told apart even
 * then stays refused. Pure.
 */
import { isDeepStrictEqual } from 'node:util';
import { blankPath } from '../audit/disclosure.ts';
import type { Json } from '../call/tool-call.ts';
import type { Call, ObservedFile, ObservedTool } from './observed.ts';

/** What values of one argument may be. */
export type Shape =
  | { readonly kind: 'items'; readonly items: readonly string[] }
  | { readonly kind: 'range'; readonly from: number; readonly to: number }
  | { readonly kind: 'text'; readonly charactersMax: number }
  | { readonly kind: 'listed'; readonly values: readonly Json[] }
  | { readonly kind: 'any' };

export interface ArgumentRule {
  readonly name: string;
  /** Some calls came without it. */
  readonly optional: boolean;
  readonly shape: Shape;
}

export interface FileRule {
  readonly countMax: number;
  readonly bytesMax: number;
  readonly sources: readonly string[];
  readonly mediaTypes: readonly string[];
  /** Null when some had no age. */
  readonly ageMinutesMax: number | null;
}

export type Width = 'profile' | 'listed' | 'exact' | 'none';

export interface Profile {
  readonly width: Width;
  readonly agents: readonly string[];
  readonly servers: readonly (string | null)[];
  readonly places: readonly (readonly [scheme: string, host: string, port: number])[];
  readonly paths: readonly string[];
  readonly methods: readonly string[];
  readonly mcpMethods: readonly (string | null)[];
  readonly states: readonly string[];
  /** Null when the log does not hold them. */
  readonly arguments: readonly ArgumentRule[] | null;
  readonly files: FileRule | null;
  /** Every call, at width `exact`. */
  readonly calls: readonly Call[];
}

/** Arguments that hold what people write. */
const FREE_TEXT =
  /^(subject|text|body|html|content|message|query|q|prompt|title|description|comment|note|notes|summary)$/i;
const LISTED_MAX = 20;
const ITEMS_MAX = 100;
export const CALLS_LISTED_MAX = 200;

/** The widest profile that no refused call fits. */
export function profileOf(tool: ObservedTool): Profile {
  const calls = [...tool.allowed.values()].map(({ call }) => call);
  const refused = [...tool.refused.values()].map(({ call }) => call);
  for (const width of ['profile', 'listed', 'exact'] as const) {
    const profile = common(calls, width);
    if (width === 'exact' && calls.length > CALLS_LISTED_MAX) break;
    if (!refused.some((call) => fits(profile, call))) return profile;
  }
  return { ...common(calls, 'profile'), width: 'none' };
}

function common(calls: readonly Call[], width: Width): Profile {
  const distinct = <T>(of: (call: Call) => T): readonly T[] => distinctOf(calls.map(of));
  return {
    width,
    agents: distinct(({ agent }) => agent),
    servers: distinct(({ server }) => server),
    places: distinct(({ scheme, host, port }) => [scheme, host, port] as const),
    paths: pathsOf(
      distinct(({ path }) => path),
      width,
    ),
    methods: distinct(({ method }) => method),
    mcpMethods: distinct(({ mcpMethod }) => mcpMethod),
    states: distinct(({ argumentsState }) => argumentsState),
    arguments: argumentRules(calls, width),
    files: fileRule(calls, width),
    calls: width === 'exact' ? calls : [],
  };
}

/** Many paths become patterns, with a star for each segment that is no plain word. */
const pathsOf = (paths: readonly string[], width: Width) =>
  width === 'profile' && paths.length > LISTED_MAX ? distinctOf(paths.map(blankPath)) : paths;

const distinctOf = <T>(values: readonly T[]): readonly T[] => [
  ...new Map(values.map((value) => [JSON.stringify(value), value])).values(),
];

function argumentRules(calls: readonly Call[], width: Width): readonly ArgumentRule[] | null {
  const all = calls.flatMap((call) => (call.arguments === null ? [] : [call.arguments]));
  if (all.length < calls.length) return null;
  const names = [...new Set(all.flatMap((one) => Object.keys(one)))].sort();
  return names.map((name) => {
    const values = all.flatMap((one) => (Object.hasOwn(one, name) ? [one[name] as Json] : []));
    return { name, optional: values.length < all.length, shape: shapeOf(name, values, width) };
  });
}

function shapeOf(name: string, values: readonly Json[], width: Width): Shape {
  if (values.every((value) => isTexts(value))) {
    const items = distinctOf(values.flat() as string[]);
    if (items.length <= ITEMS_MAX) return { kind: 'items', items };
  }
  if (values.every((value) => typeof value === 'number')) {
    const numbers = values as readonly number[];
    return { kind: 'range', from: Math.min(...numbers), to: Math.max(...numbers) };
  }
  const texts = values.every((value) => typeof value === 'string') ? (values as string[]) : null;
  const distinct = distinctOf(values);
  const free = texts !== null && (FREE_TEXT.test(name) || distinct.length > LISTED_MAX);
  if (free && width === 'profile') {
    return { kind: 'text', charactersMax: Math.max(...texts.map(charactersOf)) };
  }
  if (distinct.length <= (width === 'profile' ? LISTED_MAX : CALLS_LISTED_MAX)) {
    return { kind: 'listed', values: distinct };
  }
  return { kind: 'any' };
}

const isTexts = (value: Json): boolean =>
  Array.isArray(value) && (value as readonly Json[]).every((item) => typeof item === 'string');

/** As Rego counts them. */
const charactersOf = (text: string) => [...text].length;

function fileRule(calls: readonly Call[], width: Width): FileRule | null {
  if (calls.some(({ files }) => files === null)) return null;
  const lists = calls.map(({ files }) => files ?? []);
  const files = lists.flat();
  const ages = files.map(({ age_minutes }) => age_minutes);
  const oldest = Math.max(0, ...ages.map((age) => age ?? 0));
  const minutes = width === 'profile' ? Math.ceil(oldest) : oldest;
  return {
    countMax: Math.max(0, ...lists.map((list) => list.length)),
    bytesMax: Math.max(0, ...lists.map(bytesOf)),
    sources: distinctOf(files.map(({ source }) => source)),
    mediaTypes: distinctOf(files.map(({ media_type }) => media_type)),
    ageMinutesMax: ages.includes(null) ? null : minutes,
  };
}

const bytesOf = (files: readonly ObservedFile[]) =>
  files.reduce((sum, { bytes }) => sum + bytes, 0);

/** Would the rule that this profile is rendered as allow the call? */
export function fits(profile: Profile, call: Call): boolean {
  const { width, calls } = profile;
  if (width === 'none') return false;
  if (width === 'exact' && !calls.some((one) => sameCall(one, call))) return false;
  return (
    profile.agents.includes(call.agent) &&
    profile.servers.includes(call.server) &&
    profile.places.some((place) => isDeepStrictEqual(place, [call.scheme, call.host, call.port])) &&
    profile.paths.some((pattern) => pathFits(pattern, call.path)) &&
    profile.methods.includes(call.method) &&
    profile.mcpMethods.includes(call.mcpMethod) &&
    profile.states.includes(call.argumentsState) &&
    argumentsFit(profile.arguments, call) &&
    filesFit(profile.files, call)
  );
}

/** As `glob.match` reads a pattern whose only special character is the star. */
function pathFits(pattern: string, path: string): boolean {
  if (!pattern.includes('*')) return pattern === path;
  const literals = pattern.split('*').map((text) => text.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${literals.join('[^/]*')}$`, 'u').test(path);
}

/** What a listed call says, apart from ages, which are never the same twice. */
export const comparable = (call: Call) => ({
  agent: call.agent,
  server: call.server,
  place: [call.scheme, call.host, call.port, call.path],
  method: call.method,
  arguments: call.arguments ?? {},
  files: (call.files ?? []).map(({ source, media_type, bytes }) => [source, media_type, bytes]),
});

const sameCall = (a: Call, b: Call) => isDeepStrictEqual(comparable(a), comparable(b));

/** What is not known of a refused call could be anything, so it counts as fitting. */
function argumentsFit(rules: Profile['arguments'], call: Call): boolean {
  const args = call.arguments;
  if (rules === null || args === null) return true;
  const names = new Set(rules.map(({ name }) => name));
  if (!Object.keys(args).every((name) => names.has(name))) return false;
  return rules.every(({ name, optional, shape }) =>
    Object.hasOwn(args, name) ? shapeFits(shape, args[name] as Json) : optional,
  );
}

function shapeFits(shape: Shape, value: Json): boolean {
  switch (shape.kind) {
    case 'items':
      return (
        isTexts(value) && (value as readonly string[]).every((one) => shape.items.includes(one))
      );
    case 'range':
      return typeof value === 'number' && value >= shape.from && value <= shape.to;
    case 'text':
      return typeof value === 'string' && charactersOf(value) <= shape.charactersMax;
    case 'listed':
      return shape.values.some((one) => isDeepStrictEqual(one, value));
    case 'any':
      return true;
  }
}

function filesFit(rule: FileRule | null, { files }: Call): boolean {
  if (rule === null || files === null) return true;
  const { countMax, bytesMax, sources, mediaTypes, ageMinutesMax } = rule;
  return (
    files.length <= countMax &&
    bytesOf(files) <= bytesMax &&
    files.every(
      ({ source, media_type, age_minutes }) =>
        sources.includes(source) &&
        mediaTypes.includes(media_type) &&
        (ageMinutesMax === null || (age_minutes !== null && age_minutes <= ageMinutesMax)),
    )
  );
}
