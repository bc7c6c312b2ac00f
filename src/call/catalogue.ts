/**
 * The tool catalogue (`tools.yaml`): which wire traffic is which tool, what it does and where its
 * arguments stand, so that policy speaks of `gmail.send` and not of URLs. Written by policy authors
 * and shipped in the bundle; a mistake in it is one clear error with file, line, path, what was
 * found and what was expected. Pure.
 */
import { z } from 'zod';
import { parseAuthority } from './authority.ts';
import { parsePath } from './path.ts';
import { readYaml } from './yaml-document.ts';

const TEXT_CHARS_MAX = 4_194_304;

export class CatalogueError extends Error {
  override readonly name = 'CatalogueError';
}

const toolName = z
  .string()
  .regex(/^[A-Za-z0-9_.\-/]{1,128}$/, 'expected 1 to 128 of A-Z a-z 0-9 _ . - /');
const nonEmpty = <T extends z.ZodType>(item: T) => z.array(item).min(1).max(1_000);
const pointer = z
  .string()
  .regex(/^(\/([^/~]|~[01])+)+$/, 'expected a JSON pointer such as /raw')
  .max(512);
const hostPattern = z
  .string()
  .refine(isHostPattern, 'expected a lower-case host name or address, or *.suffix');
const pathTemplate = z
  .string()
  .refine(isPathTemplate, 'expected a path of literal segments and {name} segments');

const fields = z.strictObject({
  to: pointer.optional(),
  cc: pointer.optional(),
  bcc: pointer.optional(),
  from: pointer.optional(),
  subject: pointer.optional(),
  text: pointer.optional(),
  html: pointer.optional(),
  attachments: pointer.optional(),
});

const mail = z
  .strictObject({
    raw: pointer.optional(),
    body: z.literal(true).optional(),
    fields: fields.optional(),
  })
  .refine((spec) => Object.keys(spec).length === 1, 'expected exactly one of raw, body and fields');

const tool = z
  .strictObject({
    name: toolName,
    operation: z.enum(['read', 'write', 'list', 'connect']),
    risk: z.enum(['low', 'medium', 'high']),
    sink: z.string().min(1).max(64).optional(),
    http: z
      .strictObject({
        hosts: nonEmpty(hostPattern).optional(),
        servers: nonEmpty(z.string().min(1)).optional(),
        methods: nonEmpty(z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])),
        path: pathTemplate,
        content_types: nonEmpty(z.string().regex(/^[a-z0-9.+-]+\/[a-z0-9.+-]+$/)).optional(),
        schemes: nonEmpty(z.enum(['http', 'https'])).optional(),
        ports: nonEmpty(z.int().min(1).max(65_535)).optional(),
      })
      .refine((http) => (http.hosts === undefined) !== (http.servers === undefined), {
        message: 'expected exactly one of hosts and servers',
      })
      .optional(),
    mcp: z
      .strictObject({
        servers: nonEmpty(z.string().min(1)).optional(),
        tools: nonEmpty(toolName),
      })
      .optional(),
    arguments: z
      .strictObject({
        from: nonEmpty(z.enum(['path', 'query', 'json', 'form', 'mcp'])),
        mail: mail.optional(),
      })
      .optional(),
  })
  .refine((entry) => (entry.http === undefined) !== (entry.mcp === undefined), {
    message: 'expected exactly one of http and mcp',
  })
  .refine(argumentsFit, {
    message: 'expected from: [mcp] without mail.body under mcp, and no mcp under http',
    path: ['arguments'],
  });

const catalogueSchema = z.strictObject({
  apiVersion: z.literal('egret.dev/v1'),
  kind: z.literal('ToolCatalogue'),
  tools: z.array(tool).max(10_000),
});

/** One entry as it stands in the file. */
export type ToolEntry = z.infer<typeof tool>;
export type MailFields = z.infer<typeof fields>;
export type MailSpec = z.infer<typeof mail>;

/** Where arguments stand when an entry does not say. */
export interface ArgumentSpec {
  readonly from: readonly ('path' | 'query' | 'json' | 'form' | 'mcp')[];
  readonly mail?: MailSpec | undefined;
}
export const HTTP_ARGUMENTS: ArgumentSpec = { from: ['path', 'query', 'json', 'form'] };

/** Layers of entries; a match in an earlier layer wins over any in a later one. */
export interface Catalogue {
  readonly layers: readonly CatalogueLayer[];
}

/** Entries by what selects them; `suffixes` by the part of `*.suffix` after the star. */
export interface CatalogueLayer {
  readonly hosts: ReadonlyMap<string, readonly ToolEntry[]>;
  readonly suffixes: ReadonlyMap<string, readonly ToolEntry[]>;
  readonly servers: ReadonlyMap<string, readonly ToolEntry[]>;
  readonly mcpTools: ReadonlyMap<string, readonly ToolEntry[]>;
}

export const EMPTY_CATALOGUE: Catalogue = { layers: [] };

/** The entries of `bundle` win over those of `builtIn`. */
export const mergeCatalogues = (builtIn: Catalogue, bundle: Catalogue): Catalogue => ({
  layers: [...bundle.layers, ...builtIn.layers],
});

/**
 * Parses the text of a tools.yaml.
 * @param file name for messages only.
 * @throws CatalogueError with one line per problem: place, path, what was found, what was expected.
 */
export function parseCatalogue(text: string, file: string): Catalogue {
  if (text.length > TEXT_CHARS_MAX) {
    throw new CatalogueError(`${file}: found ${text.length} characters, expected fewer than 4 Mi`);
  }
  const read = readYaml(text, file, catalogueSchema);
  if (!read.ok) throw new CatalogueError(read.problems.join('\n'));
  return { layers: [layerOf(read.value.tools)] };
}

function isHostPattern(text: string): boolean {
  const host = text.startsWith('*.') ? text.slice(2) : text;
  const parsed = parseAuthority(host.includes(':') ? `[${host}]` : host, 1);
  return parsed.ok && parsed.host === host && (host === text || parsed.kind === 'name');
}

function isPathTemplate(text: string): boolean {
  const names = text.match(/\/\{[A-Za-z][A-Za-z0-9_]*\}(?=\/|$)/g) ?? [];
  const literal = text.replace(/\/\{[A-Za-z][A-Za-z0-9_]*\}(?=\/|$)/g, '/x');
  const parsed = parsePath(literal);
  return new Set(names).size === names.length && parsed.ok && parsed.normal === literal;
}

function argumentsFit(entry: {
  mcp?: unknown;
  arguments?:
    | { from: readonly string[]; mail?: { body?: true | undefined } | undefined }
    | undefined;
}): boolean {
  const spec = entry.arguments;
  if (spec === undefined) return true;
  if (entry.mcp === undefined) return !spec.from.includes('mcp');
  return spec.from.every((source) => source === 'mcp') && spec.mail?.body === undefined;
}

function layerOf(tools: readonly ToolEntry[]): CatalogueLayer {
  const hosts = new Map<string, ToolEntry[]>();
  const suffixes = new Map<string, ToolEntry[]>();
  const servers = new Map<string, ToolEntry[]>();
  const mcpTools = new Map<string, ToolEntry[]>();
  const add = (map: Map<string, ToolEntry[]>, key: string, entry: ToolEntry) => {
    const entries = map.get(key);
    if (entries === undefined) map.set(key, [entry]);
    else entries.push(entry);
  };
  for (const entry of tools) {
    for (const host of new Set(entry.http?.hosts)) {
      if (host.startsWith('*.')) add(suffixes, host.slice(2), entry);
      else add(hosts, host, entry);
    }
    for (const server of new Set(entry.http?.servers)) add(servers, server, entry);
    for (const name of new Set(entry.mcp?.tools)) add(mcpTools, name, entry);
  }
  return { hosts, suffixes, servers, mcpTools };
}
