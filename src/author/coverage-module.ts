/**
 * A module that speaks of every rule and calls every function of policies: compiled with their tests, the plan holds
 * also what no test asks for, and coverage counts it. Written from OPA's syntax trees of the policies. Pure.
 */
import { z } from 'zod';

const tree = z.object({
  package: z.object({ path: z.array(z.looseObject({ value: z.string() })) }),
  rules: z
    .array(
      z.looseObject({
        head: z.looseObject({
          ref: z.array(z.looseObject({ value: z.unknown() })).default([]),
          args: z.array(z.unknown()).optional(),
        }),
      }),
    )
    .default([]),
});

const PACKAGE = 'egret_coverage';
/** The rule to compile, as `package/rule`. */
export const COVERAGE_ENTRYPOINT = `${PACKAGE}/all`;

/** @param trees what `opa parse --format json` says of each policy. It is never evaluated, only compiled. */
export function coverageModule(trees: readonly unknown[]): string {
  const mentions = new Set<string>();
  for (const one of trees) {
    const { package: own, rules } = tree.parse(one);
    const path = own.path.slice(1).map(({ value }) => value);
    mentions.add(reference(path));
    for (const { head } of rules) {
      if (head.args === undefined) continue;
      const name = reference([...path, ...head.ref.map(({ value }) => String(value))]);
      mentions.add(`${name}(${head.args.map((_, at) => `input[${at}]`).join(', ')})`);
    }
  }
  const lines = [...mentions].map((mention, at) => `all contains ${at} if ${mention}\n`);
  return `package ${PACKAGE}\n\n${lines.join('\n')}`;
}

const reference = (path: readonly string[]) =>
  `data${path.map((key) => `[${JSON.stringify(key)}]`).join('')}`;
