/**
 * The names an agent may ask for: hosts of the tool catalogue and of the configuration, exact or `*.` and a name. All
 * others do not exist. Tells also which part of a name the agent worded itself, for what watches over it. Pure.
 */
import type { Catalogue } from '../call/catalogue.ts';
import { hostMatcher } from '../call/host-pattern.ts';

/**
 * `listed`: may be asked for. `loopback`: localhost and below, always itself (RFC 6761). `ancestor`: something below it
 * is listed, so it exists (RFC 8020). `reverse`: an address. `expansion`: a listed name and a search domain behind it.
 */
export type NameKind = 'listed' | 'loopback' | 'ancestor' | 'reverse' | 'expansion' | 'unlisted';

export interface Standing {
  readonly kind: NameKind;
  /** The part that the agent worded: nothing of a name that is listed as it is or that can carry nothing new. */
  readonly own: string;
}

export interface Names {
  /** @param name as `decodeQuery` gives it. Takes bounded time for any name. */
  look(name: string): Standing;
}

const PATTERN = /^(\*\.)?([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$/;
const NAME_CHARS_MAX = 253;
/** Dots up to which a search domain is looked for; resolvers add few labels to names that have few. */
const EXPANSION_DOTS_MAX = 16;

/**
 * The set of the given patterns. Case and a last dot mean nothing; what is no name, such as an address, is left out,
 * because nobody asks the DNS for it.
 */
export function createNames(patterns: Iterable<string>): Names {
  const exact = new Set<string>();
  const below = new Set<string>();
  const ancestors = new Set<string>(['']);
  for (const given of patterns) {
    const pattern = given.toLowerCase().replace(/\.$/, '');
    if (!isNamePattern(pattern)) continue;
    (pattern.startsWith('*.') ? below : exact).add(pattern);
    for (let dot = pattern.indexOf('.'); dot !== -1; dot = pattern.indexOf('.', dot + 1)) {
      ancestors.add(pattern.slice(dot + 1));
    }
  }
  const isBelow = hostMatcher(below);
  const isListed = (name: string) => exact.has(name) || isBelow(name);
  return {
    look(name) {
      if (isUnder(name, 'localhost')) return { kind: 'loopback', own: '' };
      if (exact.has(name)) return { kind: 'listed', own: '' };
      if (isBelow(name)) return { kind: 'listed', own: behindListed(name, isListed) ?? name };
      if (ancestors.has(name)) return { kind: 'ancestor', own: '' };
      if (isUnder(name, 'in-addr.arpa') || isUnder(name, 'ip6.arpa')) {
        return { kind: 'reverse', own: '' };
      }
      const rest = behindListed(name, isListed);
      return rest === null ? { kind: 'unlisted', own: name } : { kind: 'expansion', own: rest };
    },
  };
}

/** Every host pattern of a catalogue. */
export function patternsOf(catalogue: Catalogue): string[] {
  return catalogue.layers.flatMap(({ hosts, suffixes }) => [
    ...hosts.keys(),
    ...[...suffixes.keys()].map((suffix) => `*.${suffix}`),
  ]);
}

/** A last label of digits makes an address or nothing. */
function isNamePattern(pattern: string): boolean {
  return pattern.length <= NAME_CHARS_MAX && PATTERN.test(pattern) && !/(^|\.)\d+$/.test(pattern);
}

const isUnder = (name: string, parent: string) => name === parent || name.endsWith(`.${parent}`);

/** What stands behind the shortest listed name that `name` begins with; null when it begins with none. */
function behindListed(name: string, isListed: (prefix: string) => boolean): string | null {
  let dots = 0;
  for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
    if (isListed(name.slice(0, dot))) return name.slice(dot + 1);
    dots += 1;
    if (dots === EXPANSION_DOTS_MAX) return null;
  }
  return null;
}
