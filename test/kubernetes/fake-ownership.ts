/**
 * Who owns which field, for server-side apply: leaves of an object by manager. Lists are one leaf. Pure.
 */

/** Paths of leaves, as JSON texts of their keys, by manager. */
export type Managers = ReadonlyMap<string, ReadonlySet<string>>;

type Fields = Readonly<Record<string, unknown>>;

/** Whoever writes without apply owns what it changed, and nobody else does any more. */
export function afterUpdate(owned: Managers, before: object, after: object, by: string): Managers {
  const was = leavesOf(before);
  const is = leavesOf(after);
  const changed = [...new Set([...was.keys(), ...is.keys()])].filter(
    (path) => JSON.stringify(was.get(path)) !== JSON.stringify(is.get(path)),
  );
  const result = without(owned, changed);
  const mine = new Set([...(result.get(by) ?? []), ...changed.filter((path) => is.has(path))]);
  return new Map([...result, [by, mine]]);
}

/** The applied fields as they are given; those applied before and not now are gone, unless others own them, too. */
export function afterApply(owned: Managers, before: object, given: object, by: string) {
  const was = leavesOf(before);
  const applied = leavesOf(given);
  const conflicts = [...owned]
    .filter(([manager]) => manager !== by)
    .flatMap(([manager, paths]) => [...paths].map((path) => ({ manager, path })))
    .filter(
      ({ path }) =>
        applied.has(path) && JSON.stringify(applied.get(path)) !== JSON.stringify(was.get(path)),
    );
  const others = without(
    owned,
    conflicts.map(({ path }) => path),
  );
  const held = new Set(
    [...others].flatMap(([manager, paths]) => (manager === by ? [] : [...paths])),
  );
  const dropped = [...(owned.get(by) ?? [])].filter(
    (path) => !applied.has(path) && !held.has(path),
  );
  const object = structuredClone(before) as Record<string, unknown>;
  for (const path of dropped) put(object, JSON.parse(path) as string[], undefined);
  for (const [path, value] of applied) put(object, JSON.parse(path) as string[], value);
  return { object, conflicts, managers: new Map([...others, [by, new Set(applied.keys())]]) };
}

function without(owned: Managers, paths: readonly string[]): Managers {
  return new Map(
    [...owned].map(([manager, has]) => [
      manager,
      new Set([...has].filter((path) => !paths.includes(path))),
    ]),
  );
}

/** Names and what the server itself writes belong to nobody. */
const SERVED =
  /^\["(apiVersion|kind)"|^\["metadata","(name|namespace|uid|resourceVersion|creationTimestamp)"/;

function leavesOf(object: object, path: readonly string[] = []): Map<string, unknown> {
  const leaves = new Map<string, unknown>();
  for (const [key, value] of Object.entries(object as Fields)) {
    const here = [...path, key];
    const name = JSON.stringify(here);
    if (SERVED.test(name)) continue;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      for (const [inner, leaf] of leavesOf(value, here)) leaves.set(inner, leaf);
    } else {
      leaves.set(name, value);
    }
  }
  return leaves;
}

function put(object: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key = '', ...rest] = path;
  if (rest.length === 0) {
    if (value === undefined) delete object[key];
    else object[key] = value;
    return;
  }
  const inner = (object[key] ?? {}) as Record<string, unknown>;
  object[key] = inner;
  put(inner, rest, value);
}
