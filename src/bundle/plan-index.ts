/**
 * What `plan.json` says about a policy without running it: which rules there are, in which file and line, and which
 * texts stand in them. The plan is made from the same sources as the module. Pure.
 */
import { z } from 'zod';

const location = z.looseObject({
  file: z.number().optional(),
  row: z.number().optional(),
});
const statement = z.looseObject({ stmt: location.optional() });
const planSchema = z.looseObject({
  static: z.looseObject({
    strings: z.array(z.looseObject({ value: z.string() })).nullish(),
    files: z.array(z.looseObject({ value: z.string() })).nullish(),
  }),
  funcs: z
    .looseObject({
      funcs: z
        .array(
          z.looseObject({
            path: z.array(z.string()).nullish(),
            params: z.array(z.number()),
            blocks: z.array(z.looseObject({ stmts: z.array(statement).nullish() })).nullish(),
          }),
        )
        .nullish(),
    })
    .nullish(),
});

export interface IndexedRule {
  /** As in Rego, such as `data.policies.receipts.allow`. */
  readonly rule: string;
  readonly file: string;
  /** Line where the rule begins. */
  readonly line: number;
  /** Arguments of a function; 0 for a rule. */
  readonly arguments: number;
}

export interface PlanIndex {
  readonly rules: readonly IndexedRule[];
  /** Texts that the policy compares with or says. */
  readonly words: readonly string[];
}

/** @returns null for what is no plan. */
export function indexPlan(bytes: Uint8Array): PlanIndex | null {
  const parsed = planSchema.safeParse(jsonOf(bytes));
  if (!parsed.success) return null;
  const { static: constants, funcs } = parsed.data;
  const files = (constants.files ?? []).map(({ value }) => value);
  const rules = (funcs?.funcs ?? []).flatMap(({ path, params, blocks }) => {
    const places = (blocks ?? [])
      .flatMap(({ stmts }) => stmts ?? [])
      .flatMap(({ stmt }) =>
        stmt?.row === undefined || stmt.row === 0 ? [] : [{ file: stmt.file ?? 0, line: stmt.row }],
      );
    const [first] = places.sort((a, b) => a.line - b.line);
    if (first === undefined || path == null) return [];
    const rule = ['data', ...path.slice(1)].join('.');
    // Input and data are the first two parameters of every rule.
    const count = params.length - 2;
    return [{ rule, file: files[first.file] ?? '', line: first.line, arguments: count }];
  });
  const words = (constants.strings ?? []).map(({ value }) => value);
  return { rules: rules.sort((a, b) => (a.rule < b.rule ? -1 : 1)), words };
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}
