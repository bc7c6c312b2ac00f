/**
 * The `egret` command: one file per verb under cli/. Shell: owns the process.
 */
import { Command } from 'commander';
import { auditCommand } from './cli/audit.ts';
import { sidecarCommand } from './cli/sidecar.ts';
import { trustCommand } from './cli/trust.ts';
import { VERSION } from './version.ts';

const program = new Command('egret')
  .description('Policy enforcement point between an AI agent and its tools')
  .version(VERSION)
  .addCommand(sidecarCommand())
  .addCommand(auditCommand())
  .addCommand(trustCommand())
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

await program.parseAsync();
