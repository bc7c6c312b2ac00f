/**
 * The `egret` command: one file per verb under cli/. Shell: owns the process.
 */
import { Command } from 'commander';
import { auditCommand } from './cli/audit.ts';
import { bundleCommand } from './cli/bundle.ts';
import { checkCommand } from './cli/check.ts';
import { controllerCommand } from './cli/controller.ts';
import { decideCommand } from './cli/decide.ts';
import { diffCommand } from './cli/diff.ts';
import { explainCommand } from './cli/explain.ts';
import { initCommand } from './cli/init.ts';
import { programName } from './cli/program-name.ts';
import { redirectCommand } from './cli/redirect.ts';
import { replayCommand } from './cli/replay.ts';
import { rolloutCommand } from './cli/rollout.ts';
import { sidecarCommand } from './cli/sidecar.ts';
import { simulateCommand } from './cli/simulate.ts';
import { suggestCommand } from './cli/suggest.ts';
import { testCommand } from './cli/test.ts';
import { trustCommand } from './cli/trust.ts';
import { VERSION } from './version.ts';

const program = new Command(programName())
  .description('Policy enforcement point between an AI agent and its tools')
  .version(VERSION)
  .addCommand(sidecarCommand())
  .addCommand(controllerCommand())
  .addCommand(auditCommand())
  .addCommand(decideCommand())
  .addCommand(explainCommand())
  .addCommand(simulateCommand())
  .addCommand(replayCommand())
  .addCommand(diffCommand())
  .addCommand(suggestCommand())
  .addCommand(testCommand())
  .addCommand(bundleCommand())
  .addCommand(checkCommand())
  .addCommand(initCommand())
  .addCommand(redirectCommand())
  .addCommand(rolloutCommand())
  .addCommand(trustCommand());

misuseEndsWith2(program);

await program.parseAsync();

/** Commander exits with 1 on wrong use, which here means something else. */
function misuseEndsWith2(command: Command): void {
  command.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  for (const verb of command.commands) misuseEndsWith2(verb);
}
