/**
 * `egret controller`: rolls policies out. Exit codes: 0 after SIGTERM or SIGINT, 1 when it fails while running, 2 when
 * the configuration or a certificate does not let it start. Shell: owns the process's signals.
 */
import { Command } from 'commander';
import { type ControllerConfig, loadControllerConfig } from '../config/controller.ts';
import { ConfigError } from '../config/load.ts';
import { StartError } from '../sidecar/start-error.ts';

export function controllerCommand(): Command {
  return new Command('controller')
    .description('roll out policies: elect a leader, move policy sets along their steps')
    .requiredOption('--config <file>', 'configuration (YAML), see docs/controller-configuration.md')
    .option('--check', 'only check the configuration, then exit')
    .addHelpText(
      'after',
      '\nExit codes: 0 stopped by a signal, 1 failed while running, 2 cannot start.\n' +
        'The addresses of its listeners are logged as controller.listening.',
    )
    .action(async (options: { config: string; check?: boolean }) => {
      try {
        const config = loadControllerConfig(options.config);
        if (options.check === true) process.stdout.write(`${options.config}: ok\n`);
        else await run(config, options.config);
      } catch (error) {
        unusable(error, options.config);
      }
    });
}

async function run(config: ControllerConfig, file: string): Promise<void> {
  // Only the controller needs its parts; every other verb starts without them.
  const { startController } = await import('../controller/controller.ts');
  const context = { configFile: file, environment: process.env };
  const controller = await startController(config, context);
  const end = (error: unknown) => {
    process.stderr.write(`egret: ${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(1);
  };
  const stop = (signal: NodeJS.Signals) => {
    controller.stop(signal).then(() => process.exit(0), end);
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

function unusable(error: unknown, file: string): void {
  if (!(error instanceof ConfigError) && !(error instanceof StartError)) throw error;
  for (const line of error.message.split('\n')) {
    process.stderr.write(line.startsWith(`${file}:`) ? `${line}\n` : `${file}: ${line}\n`);
  }
  process.exitCode = 2;
}
