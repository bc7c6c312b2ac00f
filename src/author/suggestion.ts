/**
 * A starter policy and a tool catalogue from what was observed. Every text of the log stands in them as a JSON string,
 * which is a Rego string, too: none of it can become code or end a comment. Pure.
 */
import { stringify } from 'yaml';
import { CatalogueError, parseCatalogue } from '../call/catalogue.ts';
import type { Call, ObservedTool } from './observed.ts';
import {
  type ArgumentRule,
  comparable,
  type FileRule,
  type Profile,
  profileOf,
} from './profile.ts';

export interface SuggestedTool {
  readonly tool: string;
  readonly allowed: number;
  readonly refused: number;
  readonly width: Profile['width'];
}

export interface Suggestion {
  readonly rego: string;
  /** Null when every tool is in the built-in catalogue. */
  readonly catalogue: string | null;
  readonly tools: readonly SuggestedTool[];
}

const HEAD = `# Suggested by \`egret suggest\` from an audit log: it allows what went through, and nothing else. It cannot
# know what should have gone through. Read every rule, above all those marked REVIEW, before it decides anything.
package policies.suggested
`;

const FRESH = `
fresh(file, minutes) if {
	is_number(file.age_minutes)
	file.age_minutes <= minutes
}
`;

const SEEN = `
# A call without what differs each time.
seen := {
	"agent": input.agent.id,
	"server": input.tool.server,
	"place": [input.destination.scheme, input.destination.host, input.destination.port, input.destination.path],
	"method": input.http.method,
	"arguments": input.arguments,
	"files": [[file.source, file.media_type, file.bytes] | some file in input.attachments],
}
`;

export function suggestionOf(observed: Iterable<ObservedTool>): Suggestion {
  const tools: SuggestedTool[] = [];
  const rules: string[] = [];
  const entries: unknown[] = [];
  let [withFiles, withCalls] = [false, false];
  for (const tool of observed) {
    if (tool.allowed.size === 0) continue;
    const profile = profileOf(tool);
    const [allowed, refused] = [timesOf(tool.allowed), timesOf(tool.refused)];
    const added = entriesOf(tool, profile);
    entries.push(...added.entries);
    tools.push({ tool: tool.tool, allowed, refused, width: profile.width });
    rules.push(ruleText(tool, profile, added.name));
    withFiles ||= (profile.files?.ageMinutesMax ?? null) !== null && profile.files?.countMax !== 0;
    withCalls ||= profile.width === 'exact';
  }
  const rego = [HEAD, ...rules, withFiles ? FRESH : '', withCalls ? SEEN : ''].join('');
  return { rego, catalogue: entries.length === 0 ? null : catalogueText(entries), tools };
}

const timesOf = (calls: ObservedTool['allowed']) =>
  [...calls.values()].reduce((sum, { times }) => sum + times, 0);

function ruleText(tool: ObservedTool, profile: Profile, otherName: string | null): string {
  const [allowed, refused] = [timesOf(tool.allowed), timesOf(tool.refused)];
  const name = json(tool.tool);
  const counted = `\n# ${name}: ${allowed} went through, ${refused} were refused.\n`;
  if (profile.width === 'none') {
    return `${counted}# REVIEW: refused calls look like those that went through, so no rule is suggested.\n`;
  }
  const names = otherName === null ? [tool.tool] : [tool.tool, otherName];
  const body = [
    `input.tool.name in ${json(names)}`,
    ...(tool.known ? ['input.tool.known == true'] : []),
    `input.tool.server in ${json(profile.servers)}`,
    `input.agent.id in ${json(profile.agents)}`,
    '[input.destination.scheme, input.destination.host, input.destination.port] in ' +
      json(profile.places),
    pathText(profile.paths),
    `input.http.method in ${json(profile.methods)}`,
    ...mcpText(profile.mcpMethods),
    `input.arguments_state in ${json(profile.states)}`,
    ...(profile.width === 'exact' ? [`seen in ${json(profile.calls.map(comparable))}`] : []),
    ...argumentTexts(profile.arguments),
    ...fileTexts(profile.files),
  ];
  const note = profile.width === 'exact' ? '# REVIEW: only the very calls that were seen.\n' : '';
  const lines = body.map((line) => `\t${line.replaceAll('\n', '\n\t')}\n`).join('');
  const item = json({ message: `as seen: ${tool.tool}`, rule: tool.tool.slice(0, 128) });
  return `${counted}${note}allow contains ${item} if {\n${lines}}\n`;
}

/** JSON is Rego, too. */
const json = (value: unknown): string => JSON.stringify(value);

/** A path that was recorded without its data has a star for each part that is left out. */
function pathText(paths: readonly string[]): string {
  if (!paths.some((path) => path.includes('*'))) return `input.destination.path in ${json(paths)}`;
  return `# REVIEW: parts of the path were not in the log.\nsome pattern in ${json(paths)}\nglob.match(pattern, ["/"], input.destination.path)`;
}

function mcpText(methods: Profile['mcpMethods']): readonly string[] {
  if (methods.length === 1 && methods[0] === null) return ['input.mcp == null'];
  return [`object.get(input, ["mcp", "method"], null) in ${json(methods)}`];
}

function argumentTexts(rules: Profile['arguments']): readonly string[] {
  if (rules === null) return ['# REVIEW: the arguments were not in the log, so any are allowed.'];
  const names = json(rules.map(({ name }) => name));
  const known =
    rules.length === 0
      ? 'count(input.arguments) == 0'
      : `every name, _ in input.arguments { name in ${names} }`;
  return [known, ...rules.flatMap(argumentText)];
}

function argumentText({ name, optional, shape }: ArgumentRule): readonly string[] {
  const get = (missing: unknown) =>
    optional
      ? `object.get(input.arguments, ${json(name)}, ${json(missing)})`
      : `input.arguments[${json(name)}]`;
  switch (shape.kind) {
    case 'items':
      return [
        `is_array(${get([])})`,
        shape.items.length === 0
          ? `count(${get([])}) == 0`
          : `every item in ${get([])} { item in ${json(shape.items)} }`,
      ];
    case 'range': {
      const value = get(shape.from);
      return [`is_number(${value})`, `${value} >= ${shape.from}`, `${value} <= ${shape.to}`];
    }
    case 'text':
      return [
        `# REVIEW: any text of at most this length.`,
        `is_string(${get('')})`,
        `count(${get('')}) <= ${shape.charactersMax}`,
      ];
    case 'listed':
      return [`${get(shape.values[0])} in ${json(shape.values)}`];
    case 'any':
      return [`# REVIEW: ${json(name)} may be anything.`];
  }
}

function fileTexts(rule: FileRule | null): readonly string[] {
  if (rule === null) return ['# REVIEW: the attachments were not in the log, so any are allowed.'];
  if (rule.countMax === 0) return ['count(input.attachments) == 0'];
  const { countMax, bytesMax, sources, mediaTypes, ageMinutesMax } = rule;
  const tests = [
    `file.source in ${json(sources)}`,
    `file.media_type in ${json(mediaTypes)}`,
    ...(ageMinutesMax === null ? [] : [`fresh(file, ${ageMinutesMax})`]),
  ];
  return [
    `count(input.attachments) <= ${countMax}`,
    `sum([file.bytes | some file in input.attachments]) <= ${bytesMax}`,
    `every file in input.attachments {\n\t${tests.join('\n\t')}\n}`,
  ];
}

interface Added {
  readonly entries: readonly unknown[];
  /** Name under which the tool is recognised once the entries are in force, when it is another one. */
  readonly name: string | null;
}

/** Catalogue entries for a tool that no catalogue names. */
function entriesOf(tool: ObservedTool, { places, paths }: Profile): Added {
  const none: Added = { entries: [], name: null };
  const [first] = [...tool.allowed.values()];
  if (tool.known || first === undefined) return none;
  const { server, method, mcpMethod } = first.call;
  if (mcpMethod === 'tools/call' && server !== null) {
    const tools = [tool.tool.slice(server.length + 1)];
    return checked(
      [{ name: tool.tool, operation: 'write', risk: 'high', mcp: { servers: [server], tools } }],
      null,
    );
  }
  if (mcpMethod !== null || method === 'CONNECT') return none;
  const name = `${places[0]?.[1] ?? server}.${method.toLowerCase()}`;
  const target =
    server === null
      ? {
          hosts: unique(places.map(([, host]) => host)),
          ports: unique(places.map(([, , port]) => port)),
        }
      : { servers: [server] };
  const operation = method === 'GET' || method === 'HEAD' ? 'read' : 'write';
  const templates = paths.map(template);
  const methods = unique([...tool.allowed.values()].map(({ call }: { call: Call }) => call.method));
  return checked(
    templates.map((path) => ({
      name,
      operation,
      risk: 'high',
      http: { ...target, methods, path },
      arguments: { from: ['query', 'json', 'form'] },
    })),
    name,
  );
}

const unique = <T>(values: readonly T[]): readonly T[] => [...new Set(values)];

function template(path: string): string {
  let number = 0;
  return path.replaceAll(/\/\*(?=\/|$)/g, () => {
    number += 1;
    return `/{part${number}}`;
  });
}

/** The log is not trusted: an entry that no catalogue could hold is left out. */
function checked(entries: readonly unknown[], name: string | null): Added {
  try {
    parseCatalogue(catalogueText(entries), 'suggested');
    return { entries, name };
  } catch (error) {
    if (error instanceof CatalogueError) return { entries: [], name: null };
    throw error;
  }
}

const catalogueText = (tools: readonly unknown[]): string =>
  '# Suggested by `egret suggest`. REVIEW: names, and whether each tool reads or writes.\n' +
  stringify(
    { apiVersion: 'egret.dev/v1', kind: 'ToolCatalogue', tools },
    { aliasDuplicateObjects: false },
  );
