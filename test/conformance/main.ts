/**
 * Runs OPA's conformance cases on every engine and prints the score: `main.ts FOLDER [NOTE...]`, where a note is a
 * part of the notes to run, and prints why each fails. Exit code 1 when a case fails that is not on the list of
 * exceptions, or one on the list passes. Shell: reads the folder of compiled cases, writes to the terminal.
 */
import { type ConformanceCase, type ConformanceEngine, judge, kindOf, readCases } from './case.ts';
import { EXCEPTIONS } from './exceptions.ts';
import { PLAN_ENGINE } from './plan-engine.ts';
import { WASM_ENGINE } from './wasm-engine.ts';

const ENGINES: readonly ConformanceEngine[] = [WASM_ENGINE, PLAN_ENGINE];

interface Verdict {
  readonly one: ConformanceCase;
  readonly wrong: string | null;
}

const [folder, ...wanted] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: main.ts FOLDER [NOTE...]');
  process.exit(2);
}
const all = readCases(folder);
const chosen = all.filter(
  ({ note }) => wanted.length === 0 || wanted.some((part) => note.includes(part)),
);
let failed = false;
for (const engine of ENGINES) {
  const verdicts = chosen.map((one) => ({ one, wrong: judge(one, engine.run(one, folder)) }));
  failed = report(engine, verdicts, EXCEPTIONS[engine.name] ?? {}) || failed;
}
process.exitCode = failed ? 1 : 0;

/** @returns whether the run fails. */
function report(
  engine: ConformanceEngine,
  verdicts: readonly Verdict[],
  exceptions: Readonly<Record<string, string>>,
): boolean {
  const scored = verdicts.filter(({ one }) => kindOf(one) === 'scored');
  if (wanted.length === 0) printFamilies(engine.name, scored);
  const failing = scored.filter(({ wrong }) => wrong !== null);
  const surprising = failing.filter(({ one }) => exceptions[one.note] === undefined);
  for (const { one, wrong } of surprising) console.log(`FAIL ${one.note}\n     ${wrong}`);
  const passed = scored.length - failing.length;
  const stillFailing = new Set(failing.map(({ one }) => one.note)); // notes are not unique
  const ran = new Set(scored.map(({ one }) => one.note));
  const better = Object.keys(exceptions).filter((n) => ran.has(n) && !stillFailing.has(n));
  for (const note of better) console.log(`PASSES, so take it off the list of exceptions: ${note}`);
  const notes = new Set(all.map(({ note }) => note));
  const unknown = Object.keys(exceptions).filter((note) => !notes.has(note));
  for (const note of unknown) console.log(`no such case, but on the list of exceptions: ${note}`);
  const apart = (['strict', 'network', 'signing'] as const).map((kind) => {
    const those = verdicts.filter(({ one }) => kindOf(one) === kind);
    return `${kind} ${those.filter(({ wrong }) => wrong === null).length}/${those.length}`;
  });
  const share = ((100 * passed) / Math.max(1, scored.length)).toFixed(2);
  console.log(
    `${engine.name}: ${passed} of ${scored.length} cases pass (${share} %), ` +
      `${failing.length - surprising.length} exceptions; counted apart: ${apart.join(', ')}`,
  );
  return surprising.length + better.length + unknown.length > 0;
}

function printFamilies(engine: string, scored: readonly Verdict[]): void {
  const families = Map.groupBy(scored, ({ one }) => one.family);
  const rows = [...families].map(([family, verdicts]) => {
    const passed = verdicts.filter(({ wrong }) => wrong === null).length;
    return { family, passed, total: verdicts.length };
  });
  const whole = rows.filter(({ passed, total }) => passed === total);
  console.log(`${engine}: ${whole.length} of ${rows.length} families pass whole; the others:`);
  for (const { family, passed, total } of rows) {
    if (passed < total) console.log(`  ${family.padEnd(40)} ${passed}/${total}`);
  }
}
