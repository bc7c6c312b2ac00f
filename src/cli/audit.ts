/**
 * `egret audit`: what an auditor does with a log folder. Verify it, read it, prove that an entry is in it and check
 * such a proof. Exit codes: 0 good, 1 verification failed, 2 wrong use or nothing to read.
 * Shell: reads log folders, writes to standard output and to the files of a proof.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { parseVerifierKey } from '../audit/checkpoint.ts';
import { readFile } from '../audit/log-files.ts';
import { verifyProof } from '../audit/proof.ts';
import { type LogLine, LogUnreadable, linesOf, proveDecision } from '../audit/read-log.ts';
import { printable, renderEntries, renderReport } from '../audit/report.ts';
import { Unreadable, verifyLog } from '../audit/verify-log.ts';

const FAILED = 1;
const UNUSABLE = 2;
const ENTRIES_SHOWN = 50;

const keyOption = () =>
  new Option('--key <key>', 'public key of the log: its text (name+id+key) or a file with it');
const jsonOption = () => new Option('--json', 'print JSON');

export function auditCommand(): Command {
  const audit = new Command('audit').description('verify, read and prove the audit log');
  audit
    .command('verify')
    .description('check every entry, tile, signature and pairing of a log folder')
    .argument('<directory>', 'log folder')
    .addOption(keyOption())
    .addOption(jsonOption())
    .addHelpText('after', '\nExit code: 0 intact, 1 not intact, 2 cannot be read.')
    .action((directory: string, options) => guarded(() => verify(directory, options)));
  audit
    .command('show')
    .description('print entries as a table')
    .argument('<directory>', 'log folder')
    .option('--id <decision>', 'only the entries of this decision')
    .option('--last <count>', `only the last entries (default ${ENTRIES_SHOWN}; 0 for all)`)
    .addOption(jsonOption())
    .addHelpText('after', '\nExit code: 0 printed, 2 cannot be read or nothing found.')
    .action((directory: string, options) => guarded(() => show(directory, options)));
  audit
    .command('prove')
    .description('write the proof that a decision is in the log: <id>.tlog-proof and <id>.json')
    .argument('<directory>', 'log folder')
    .argument('<decision>', 'decision id')
    .option('--out <directory>', 'where to write the two files', '.')
    .addHelpText('after', '\nExit code: 0 written, 2 not in the log or cannot be read or written.')
    .action((directory: string, id: string, { out }) => guarded(() => prove(directory, id, out)));
  audit
    .command('verify-proof')
    .description('check a proof without the log')
    .argument('<proof>', 'file with the tlog-proof')
    .argument('<entry>', 'file with the entry')
    .addOption(keyOption().makeOptionMandatory())
    .addHelpText('after', '\nExit code: 0 proven, 1 not proven, 2 cannot be read.')
    .action((proof: string, entry: string, { key }) =>
      guarded(() => checkProof(proof, entry, key)),
    );
  return audit;
}

/** What cannot be read is one sentence on standard error and exit code 2. */
async function guarded(action: () => Promise<number> | number): Promise<void> {
  try {
    process.exitCode = await action();
  } catch (error) {
    const system = (error as NodeJS.ErrnoException).code !== undefined;
    if (!(error instanceof Unreadable || error instanceof LogUnreadable || system)) throw error;
    process.stderr.write(printable(`egret audit: ${(error as Error).message}\n`));
    process.exitCode = UNUSABLE;
  }
}

async function verify(directory: string, options: { key?: string; json?: true }): Promise<number> {
  const report = await verifyLog(
    directory,
    options.key === undefined ? null : keyText(options.key),
  );
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : renderReport(report));
  return report.ok ? 0 : FAILED;
}

/** A key as given, or the content of the file it names. */
function keyText(given: string): string {
  if (parseVerifierKey(given) !== null) return given;
  const bytes = readFile(given);
  if (bytes !== null) return bytes.toString();
  throw new Unreadable('--key: neither a public key (name+id+key) nor a file');
}

function show(directory: string, options: { id?: string; last?: string; json?: true }): number {
  const last = options.last ?? (options.id === undefined ? String(ENTRIES_SHOWN) : '0');
  if (!/^[0-9]{1,9}$/.test(last)) throw new Unreadable(`--last: found ${last}, expected a number`);
  const shown: LogLine[] = [];
  for (const line of linesOf(directory)) {
    if (options.id !== undefined && line.entry['decision_id'] !== options.id) continue;
    shown.push(line);
    if (Number(last) > 0 && shown.length > Number(last)) shown.shift();
  }
  if (options.id !== undefined && shown.length === 0) {
    throw new LogUnreadable(`${directory}: no entry of decision ${options.id}`);
  }
  const json = () => shown.map(({ line }) => `${line}\n`).join('');
  process.stdout.write(options.json ? json() : renderEntries(shown));
  return 0;
}

function prove(directory: string, id: string, out: string): number {
  const { index, line, proof } = proveDecision(directory, id);
  const name = id.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 100);
  const [proofFile, entryFile] = [join(out, `${name}.tlog-proof`), join(out, `${name}.json`)];
  fs.writeFileSync(proofFile, proof);
  fs.writeFileSync(entryFile, line);
  process.stdout.write(`leaf ${index}\nproof ${proofFile}\nentry ${entryFile}\n`);
  return 0;
}

function checkProof(proofFile: string, entryFile: string, key: string): number {
  const verifier = parseVerifierKey(keyText(key));
  if (verifier === null) throw new Unreadable('--key: expected name+id+key of Ed25519');
  const entry = fs.readFileSync(entryFile);
  const leaf = entry.at(-1) === 10 ? entry.subarray(0, -1) : entry;
  const verdict = verifyProof(fs.readFileSync(proofFile, 'utf8'), leaf, verifier);
  const said = verdict.ok
    ? `OK: the entry is leaf ${verdict.index} of ${verdict.size} in ${verifier.name}\n`
    : `FAILED: ${verdict.detail}\n`;
  process.stdout.write(printable(said));
  return verdict.ok ? 0 : FAILED;
}
