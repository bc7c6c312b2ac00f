/**
 * Finds the catalogue entry of a call. The most specific entry wins: a named server or exact host
 * over a wildcard, a literal segment over a template, a stated content type over none. Two equally
 * specific entries that say different things make the call ambiguous, and it is refused rather than
 * guessed. Pure.
 */
import type { Catalogue, CatalogueLayer, ToolEntry } from './catalogue.ts';

export interface HttpQuery {
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  /** Configured HTTP tool, null for the forward proxy. */
  readonly server: string | null;
  readonly method: string;
  /** Decoded path segments. */
  readonly segments: readonly string[];
  /** Media type of the body, null without one. */
  readonly mediaType: string | null;
}

export type Match =
  | { readonly kind: 'found'; readonly entry: ToolEntry; readonly path: Record<string, string> }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'ambiguous' };

interface Candidate {
  readonly entry: ToolEntry;
  /** Larger text, compared as text, is more specific. */
  readonly rank: string;
  readonly path: Record<string, string>;
}

const UNKNOWN: Match = { kind: 'unknown' };

export function matchHttp(catalogue: Catalogue, query: HttpQuery): Match {
  for (const layer of catalogue.layers) {
    const match = best(httpCandidates(layer, query));
    if (match.kind !== 'unknown') return match;
  }
  return UNKNOWN;
}

export function matchMcp(catalogue: Catalogue, server: string, tool: string): Match {
  for (const layer of catalogue.layers) {
    const candidates: Candidate[] = [];
    for (const entry of layer.mcpTools.get(tool) ?? []) {
      const servers = entry.mcp?.servers;
      if (servers === undefined) candidates.push({ entry, rank: '0', path: {} });
      else if (servers.includes(server)) candidates.push({ entry, rank: '1', path: {} });
    }
    const match = best(candidates);
    if (match.kind !== 'unknown') return match;
  }
  return UNKNOWN;
}

function httpCandidates(layer: CatalogueLayer, query: HttpQuery): Candidate[] {
  const candidates: Candidate[] = [];
  const add = (entries: readonly ToolEntry[] | undefined, hostRank: string) => {
    for (const entry of entries ?? []) {
      const candidate = fitted(entry, hostRank, query);
      if (candidate !== null) candidates.push(candidate);
    }
  };
  if (query.server !== null) add(layer.servers.get(query.server), '999');
  add(layer.hosts.get(query.host), '998');
  if (layer.suffixes.size > 0) {
    let dot = query.host.indexOf('.');
    for (; dot !== -1; dot = query.host.indexOf('.', dot + 1)) {
      const suffix = query.host.slice(dot + 1);
      add(layer.suffixes.get(suffix), String(suffix.length).padStart(3, '0'));
    }
  }
  return candidates;
}

function fitted(entry: ToolEntry, hostRank: string, query: HttpQuery): Candidate | null {
  const http = entry.http;
  if (http === undefined || !(http.methods as readonly string[]).includes(query.method))
    return null;
  if (http.schemes !== undefined && !(http.schemes as readonly string[]).includes(query.scheme)) {
    return null;
  }
  if (http.ports !== undefined && !http.ports.includes(query.port)) return null;
  const types = http.content_types;
  if (types !== undefined && (query.mediaType === null || !types.includes(query.mediaType))) {
    return null;
  }
  const path = fittedPath(templateOf(entry, http.path), query.segments);
  if (path === null) return null;
  const rank = `${hostRank}${path.rank}${types === undefined ? '0' : '1'}`;
  return { entry, rank, path: path.parameters };
}

/** One segment of a path template: a decoded literal, or a parameter. */
type Part = { readonly literal: string } | { readonly parameter: string };

const templates = new WeakMap<ToolEntry, readonly Part[]>();

function templateOf(entry: ToolEntry, path: string): readonly Part[] {
  const known = templates.get(entry);
  if (known !== undefined) return known;
  const parts = path
    .slice(1)
    .split('/')
    .map(
      (part): Part =>
        part.startsWith('{')
          ? { parameter: part.slice(1, -1) }
          : { literal: decodeURIComponent(part) },
    );
  templates.set(entry, parts);
  return parts;
}

function fittedPath(parts: readonly Part[], segments: readonly string[]) {
  if (parts.length !== segments.length) return null;
  const parameters: Record<string, string> = {};
  let rank = '';
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index] as Part;
    const segment = segments[index] as string;
    if ('literal' in part) {
      if (part.literal !== segment) return null;
      rank += '1';
    } else {
      if (segment === '') return null;
      parameters[part.parameter] = segment;
      rank += '0';
    }
  }
  return { parameters, rank };
}

function best(candidates: readonly Candidate[]): Match {
  let winner: Candidate | undefined;
  for (const candidate of candidates) {
    if (winner === undefined || candidate.rank > winner.rank) winner = candidate;
  }
  if (winner === undefined) return UNKNOWN;
  const { entry, rank, path } = winner;
  const rivals = candidates.filter((one) => one.rank === rank && one.entry !== entry);
  if (rivals.some((rival) => meaning(rival) !== meaning(winner))) return { kind: 'ambiguous' };
  return { kind: 'found', entry, path };
}

/** Two entries with equal meaning are interchangeable. */
const meaning = ({ entry, path }: Candidate): string =>
  JSON.stringify([entry.name, entry.operation, entry.risk, entry.sink, entry.arguments, path]);
