/**
 * `egret trust`: what an agent needs in its environment to trust the certificates of interception. Exit codes: 0 good,
 * 2 wrong use or interception is not configured. Shell: reads the configuration, writes to standard output.
 */
import { Command } from 'commander';
import { ConfigError, loadConfig } from '../config/load.ts';
import { renderEnvironment, trustEnvironment } from '../tls/environment.ts';
import { trustFiles } from '../tls/trust.ts';

const UNUSABLE = 2;

export function trustCommand(): Command {
  const trust = new Command('trust').description('what agents need to trust TLS interception');
  trust
    .command('env')
    .description('print the environment variables for an agent')
    .requiredOption('--config <file>', 'configuration (YAML) with tls.trustDirectory')
    .option('--directory <path>', 'where the agent sees the trust directory, when elsewhere')
    .option('--java', 'also JAVA_TOOL_OPTIONS; every Java then says so on standard error')
    .option('--json', 'print one JSON object instead of shell exports')
    .addHelpText(
      'after',
      '\nFor a shell: eval "$(egret trust env --config egret.yaml)". The sidecar writes the files when it starts.\n' +
        'Exit codes: 0 printed, 2 no configuration or no interception in it.',
    )
    .action((options: { config: string; directory?: string; java?: true; json?: true }) => {
      const configured = configuredDirectory(options.config);
      if (configured === null) return;
      const directory = options.directory ?? configured;
      const environment = trustEnvironment(trustFiles(directory), { java: options.java === true });
      process.stdout.write(
        options.json === true ? `${JSON.stringify(environment)}\n` : renderEnvironment(environment),
      );
    });
  return trust;
}

function configuredDirectory(file: string): string | null {
  try {
    const { tls } = loadConfig(file);
    if (tls !== undefined) return tls.trustDirectory;
    return fail(`${file}: tls: found nothing, expected tls.trustDirectory`);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return fail(error.message);
  }
}

function fail(message: string): null {
  process.stderr.write(`${message}\n`);
  process.exitCode = UNUSABLE;
  return null;
}
