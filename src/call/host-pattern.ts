/**
 * Host patterns as they stand in configuration and catalogue: a name stands for itself, `*.name` for every name below it
 * and not for the name itself. Pure.
 */

/** Tells whether a host in normal form fits any of the patterns. */
export function hostMatcher(patterns: Iterable<string>): (host: string) => boolean {
  const names = new Set<string>();
  const suffixes = new Set<string>();
  for (const pattern of patterns) {
    if (pattern.startsWith('*.')) suffixes.add(pattern.slice(2));
    else names.add(pattern);
  }
  return (host) => {
    if (names.has(host)) return true;
    if (suffixes.size === 0) return false;
    for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
      if (suffixes.has(host.slice(dot + 1))) return true;
    }
    return false;
  };
}
