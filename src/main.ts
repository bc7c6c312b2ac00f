/**
 * The `egret` command: one file per verb under cli/. Shell: owns the process.
 */
import { Command } from 'commander';
import { auditCommand } from './cli/audit.ts';
import { decideCommand } from './cli/decide.ts';
import { explainCommand } from './cli/explain.ts';
import { redirectCommand } from './cli/redirect.ts';
import { sidecarCommand } from './cli/sidecar.ts';
import { simulateCommand } from './cli/simulate.ts';
import { trustCommand } from './cli/trust.ts';
import { VERSION } from './version.ts';

const program = new Command('egret')
  .description('Policy enforcement point between an AI agent and its tools')
  .version(VERSION)
  .addCommand(sidecarCommand())
  .addCommand(auditCommand())
  .addCommand(decideCommand())
  .addCommand(explainCommand())
  .addCommand(simulateCommand())
  .addCommand(redirectCommand())
  .addCommand(trustCommand());

misuseEndsWith2(program);

await program.parseAsync();

/** Commander exits with 1 on wrong use, which here means something else. */
function misuseEndsWith2(command: Command): void {
  command.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  for (const verb of command.commands) misuseEndsWith2(verb);
}
