/**
 * All statements of a plan in the order of its text. Pure.
 */
import type { Block, Plan, Statement } from './plan.ts';

/** Blocks directly inside of a statement. */
function blocksIn(statement: Statement): readonly Block[] {
  if (statement.kind === 'BlockStmt') return statement.blocks;
  return 'block' in statement ? [statement.block] : [];
}

/** The statements of a block and, after each, those inside of it. */
export function* statementsIn(block: Block): Generator<Statement> {
  for (const statement of block.statements) {
    yield statement;
    for (const inner of blocksIn(statement)) yield* statementsIn(inner);
  }
}

export function* statementsOf(plan: Plan): Generator<Statement> {
  for (const fn of plan.functions.values()) {
    for (const block of fn.blocks) yield* statementsIn(block);
  }
}
