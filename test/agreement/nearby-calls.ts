/** Random inputs near the rules of one policy: its test calls with parts exchanged, and words it looks for. Pure. */
import fc from 'fast-check';
import { inputs, readable } from '../plan/calls.ts';

type Path = readonly string[];

const ODD: readonly unknown[] = [
  ...[undefined, null, true, false, 0, 1, -1, 500.01, 1e21, '', 'x', '*', '5', 'a@b'],
  ...['İnvoice', 'Seed  Phrase', '😀', [], [5], [null], [''], {}, { x: 1 }, [[]], ['x']],
];

/**
 * @param calls starting points.
 * @param words texts that the policy holds: names, patterns, messages.
 */
export function nearbyCalls(
  calls: readonly object[],
  words: readonly string[],
): fc.Arbitrary<unknown> {
  const word = words.length > 0 ? fc.constantFrom(...words) : fc.string();
  const started = fc.oneof(
    ...(calls.length > 0 ? [{ weight: 6, arbitrary: fc.constantFrom(...calls) }] : []),
    { weight: 1, arbitrary: inputs },
  );
  const leaves = [...new Set(calls.flatMap(leavesOf))];
  const value = fc.oneof(
    { weight: 4, arbitrary: leaves.length > 0 ? fc.constantFrom(...leaves) : word },
    { weight: 3, arbitrary: fc.constantFrom(...ODD) },
    { weight: 3, arbitrary: word },
  );
  const paths = [...calls, { tool: { name: '' }, arguments: { text: '' } }].flatMap((call) =>
    pathsOf(call, []),
  );
  const change = fc.record({ path: fc.constantFrom(...paths), value });
  return fc
    .record({ call: started, changes: fc.array(change, { maxLength: 3 }) })
    .map(({ call, changes }) => changes.reduce(changed, call))
    .filter(readable);
}

function leavesOf(value: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return [value];
  return Object.values(value).flatMap(leavesOf);
}

function pathsOf(value: unknown, path: Path): Path[] {
  const here = path.length === 0 ? [] : [path];
  if (typeof value !== 'object' || value === null) return here;
  return [
    ...here,
    ...Object.entries(value).flatMap(([key, item]) => pathsOf(item, [...path, key])),
  ];
}

/** A copy with another value at the path, or none where it is undefined; the same where there is no such place. */
function changed(root: unknown, change: { readonly path: Path; readonly value: unknown }): unknown {
  const [key, ...path] = change.path;
  if (key === undefined) return change.value;
  if (typeof root !== 'object' || root === null) return root;
  if (Array.isArray(root)) {
    return root.map((item, i) => (String(i) === key ? changed(item, { ...change, path }) : item));
  }
  const item = changed((root as Record<string, unknown>)[key], { ...change, path });
  return { ...root, [key]: item };
}
