/**
 * `egret rollout`: what people do with policy rollouts, from a terminal or as `kubectl egret rollout`. Shell: none of its
 * own; the verbs have theirs.
 */
import { Command } from 'commander';
import { steeringCommands } from './rollout-command.ts';
import { lintCommand } from './rollout-lint.ts';
import { historyCommand, statusCommand } from './rollout-status.ts';
import { watchCommand } from './rollout-watch.ts';

export function rolloutCommand(): Command {
  const rollout = new Command('rollout')
    .description('see, steer and check rollouts of policy in Kubernetes')
    .addCommand(statusCommand())
    .addCommand(watchCommand())
    .addCommand(historyCommand())
    .addCommand(lintCommand());
  for (const command of steeringCommands()) rollout.addCommand(command);
  return rollout;
}
