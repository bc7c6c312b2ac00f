/**
 * `egret sidecar`: the data plane. Exit codes: 0 after SIGTERM or SIGINT, 1 when it fails while running, 2 when the
 * configuration, a credential or the audit log does not let it start. Shell: owns the process's signals.
 */
import { Command } from 'commander';
import { ConfigError, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { checkStart } from '../sidecar/check.ts';
import { checkPlaces } from '../sidecar/places.ts';
import { startSidecar } from '../sidecar/sidecar.ts';
import { StartError } from '../sidecar/start-error.ts';

/** Time for the last log line to be written. */
const LAST_WORDS_MS = 100;

export function sidecarCommand(): Command {
  return new Command('sidecar')
    .description('run the policy enforcement point beside an agent')
    .requiredOption('--config <file>', 'configuration (YAML), see docs/configuration.md')
    .option('--check', 'only check the configuration and what it names, then exit')
    .addHelpText(
      'after',
      '\nExit codes: 0 stopped by a signal, 1 failed while running, 2 cannot start, or --check found something.\n' +
        '--check says every problem of places, credentials, keys, roots and the bundle that is there; it starts and\n' +
        'writes nothing.\n' +
        'The addresses of all listeners are logged as sidecar.listening.',
    )
    .action(async (options: { config: string; check?: boolean }) => {
      const { config: file, check } = options;
      const config = readConfig(file, check !== true);
      if (config === null) return;
      if (check === true) await checked(config, file);
      else await run(config, file);
    });
}

function readConfig(file: string, withPlaces: boolean): Config | null {
  try {
    const config = loadConfig(file);
    if (withPlaces) checkPlaces(config, file);
    return config;
  } catch (error) {
    return unusable(error, file);
  }
}

async function checked(config: Config, file: string): Promise<void> {
  const context = { configFile: file, environment: process.env };
  const { problems, notes } = await checkStart(config, context);
  for (const note of notes) process.stdout.write(`${file}: note: ${note}\n`);
  if (problems.length === 0) process.stdout.write(`${file}: ok\n`);
  else complain(problems, file);
}

async function run(config: Config, file: string): Promise<void> {
  try {
    const sidecar = await startSidecar(config, { configFile: file, environment: process.env });
    const stop = (signal: NodeJS.Signals) => {
      sidecar.stop(signal).then(
        () => process.exit(0),
        (error: unknown) => {
          process.stderr.write(`egret: ${String(error)}\n`);
          process.exit(1);
        },
      );
    };
    const fail = (error: unknown) => {
      sidecar.fail(error);
      process.stderr.write(`egret: ${error instanceof Error ? error.stack : String(error)}\n`);
      process.exitCode = 1;
      setTimeout(() => process.exit(1), LAST_WORDS_MS);
    };
    process.on('uncaughtException', fail);
    process.on('unhandledRejection', fail);
    process.once('SIGTERM', stop);
    process.once('SIGINT', stop);
  } catch (error) {
    unusable(error, file);
  }
}

/** Prints what a person can mend, with the file, and sets exit code 2; anything else is a bug and is thrown on. */
function unusable(error: unknown, file: string): null {
  if (!(error instanceof ConfigError) && !(error instanceof StartError)) throw error;
  complain(error.message.split('\n'), file);
  return null;
}

function complain(lines: readonly string[], file: string): void {
  for (const line of lines) {
    process.stderr.write(line.startsWith(`${file}:`) ? `${line}\n` : `${file}: ${line}\n`);
  }
  process.exitCode = 2;
}
