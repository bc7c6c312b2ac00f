/**
 * `make bench`: added latency, throughput and memory of the gateway beside its peers in one run, the cost of its parts,
 * and which budgets are met; printed and written to docs/benchmarks.md. Shell: owns the run and its working folder.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unpackBundle } from './bundle.ts';
import { Children } from './children.ts';
import { type Absent, type Contender, isAbsent } from './contender.ts';
import type { Engines } from './engine-policy.ts';
import { type EnginesOptions, measureEngines } from './engines.ts';
import { enter, type Field, startUpstream } from './entrants.ts';
import { readFleetResult } from './fleet-result.ts';
import { createGenerator } from './generator.ts';
import { measureInterception } from './interception.ts';
import { thisMachine } from './machine.ts';
import { type Options, parseOptions, USAGE } from './options.ts';
import { measureParts } from './parts.ts';
import { renderReport } from './report.ts';
import { ALLOWED_BODY } from './request.ts';
import type { Result } from './result.ts';
import { runRounds } from './rounds.ts';

const ROOT = join(import.meta.dirname, '..');
/** No run takes longer, whatever hangs. */
const RUN_MS_MAX = 600_000;

const say = (text: string) => process.stderr.write(`bench: ${text}\n`);

async function enterAll(
  field: Field,
  options: Options,
): Promise<{ readonly contenders: Contender[]; readonly absent: Absent[] }> {
  const contenders: Contender[] = [];
  const absent: Absent[] = [];
  for (const key of options.only) {
    const entrant = await enter(field, key);
    if (isAbsent(entrant)) {
      absent.push(entrant);
      say(`NOT MEASURED: ${entrant.title}: ${entrant.why}. To have it: ${entrant.remedy}`);
      if (entrant.detail !== '') say(entrant.detail);
    } else {
      contenders.push(entrant);
    }
  }
  return { contenders, absent };
}

async function run(options: Options, directory: string, children: Children): Promise<Result> {
  const before = thisMachine();
  const generator = createGenerator(children, directory);
  say(`load generator: ${generator.title}`);
  const bundle = await unpackBundle(children, directory);
  const upstream = await startUpstream(children, directory);
  const field = { children, directory, ...bundle, upstreamPort: upstream.port };
  const { contenders, absent } = await enterAll(field, options);
  const { rounds, seconds } = options;
  const plan = { rounds, seconds, warmUpSeconds: options.quick ? 1 : 2, progress: say };
  const rows = await runRounds(contenders, generator, plan);
  const own = contenders.flatMap((contender) => contender.children);
  await Promise.all(own.map((child) => children.end(child)));
  const rest = { ...field, quick: options.quick, progress: say };
  const interception = options.sections.includes('interception')
    ? await measureInterception(rest)
    : null;
  const engines = options.sections.includes('engine') ? await enginesOrNull(rest) : null;
  const micro = await measureParts(rest, options.sections);
  return {
    machine: before,
    generator: generator.title,
    upstream: upstream.title,
    rounds,
    seconds,
    requestBytes: Buffer.byteLength(ALLOWED_BODY),
    rows,
    absent,
    micro,
    engines,
    interception,
    fleet: options.complete ? readFleetResult() : null,
  };
}

/** Engines that cannot be measured are no reason to lose the rest of a run: their budgets are `not measured`. */
async function enginesOrNull(options: EnginesOptions): Promise<Engines | null> {
  try {
    return await measureEngines(options);
  } catch (error) {
    say(`NOT MEASURED: policy engines: ${(error as Error).message}`);
    return null;
  }
}

/** On a real disk beside the sources, not in a memory file system: the synced row must reach a device. */
function workingDirectory(): string {
  mkdirSync(join(ROOT, '.tools'), { recursive: true });
  const directory = mkdtempSync(join(ROOT, '.tools/bench-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function readOptions(): Options {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}\n`);
    process.exit(2);
  }
}

async function main(): Promise<void> {
  const options = readOptions();
  const directory = workingDirectory();
  const children = new Children(directory);
  const stop = (code: number) => children.close().finally(() => process.exit(code));
  process.once('SIGINT', () => void stop(130));
  process.once('SIGTERM', () => void stop(143));
  const overdue = setTimeout(() => {
    say(`the run took longer than ${RUN_MS_MAX / 1000} s`);
    void stop(1);
  }, RUN_MS_MAX);
  try {
    const report = renderReport(await run(options, directory, children));
    process.stdout.write(report);
    if (options.complete) writeFileSync(join(ROOT, 'docs/benchmarks.md'), report);
    else say('docs/benchmarks.md is written by a whole run only (no --quick, no --only)');
  } finally {
    clearTimeout(overdue);
    await children.close();
  }
}

await main();
