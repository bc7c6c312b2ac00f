/** Line coverage: which lines of the sources were evaluated, over several evaluations. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRego } from '../../src/decision/rego-value.ts';
import { Coverage } from '../../src/plan/coverage.ts';
import { evaluatePlan } from '../../src/plan/evaluate.ts';
import { compilePlan } from './compiled-plan.ts';

const REGO = `package t

decision contains "small" if {
	input.amount < 10
	known
}

decision contains "write" if {
	input.write
	input.amount > 100
	known
}

known if input.tool == "mail"

known if {
	some tool in data.tools
	input.tool == tool
}
`;

test('a line counts once it was reached, a head once its rule gave a value', (t) => {
  const built = compilePlan(t, { 'lines.rego': REGO });
  if (built === null) return;
  const coverage = new Coverage(built.plan);
  const evaluate = (text: string) =>
    evaluatePlan(built.plan, 't/decision', parseRego(text), parseRego('{"tools":["shell"]}'), {
      observer: coverage,
    });
  assert.deepEqual(coverage.report().files[0]?.covered, []);
  evaluate('{"amount":1,"tool":"disk"}');
  assert.deepEqual(coverage.report().files, [
    { file: 'lines.rego', covered: [4, 5, 9, 17, 18], missed: [3, 8, 10, 11, 14, 16] },
  ]);
  evaluate('{"amount":1,"tool":"mail","write":true}');
  evaluate('{"amount":101,"tool":"shell","write":true}');
  assert.deepEqual(coverage.report(), {
    files: [{ file: 'lines.rego', covered: [3, 4, 5, 8, 9, 10, 11, 14, 16, 17, 18], missed: [] }],
    percent: 100,
  });
});
