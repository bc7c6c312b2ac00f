/**
 * The `egret` command: one file per verb under cli/. Only the verb that is asked for is loaded, because a sidecar should
 * neither wait for the tools of policy authors nor hold them. Shell: owns the process.
 */
import { Command } from 'commander';
import { programName } from './cli/program-name.ts';
import { VERSION } from './version.ts';

/** In the order of the help. */
const VERBS: Readonly<Record<string, () => Promise<Command>>> = {
  sidecar: async () => (await import('./cli/sidecar.ts')).sidecarCommand(),
  controller: async () => (await import('./cli/controller.ts')).controllerCommand(),
  audit: async () => (await import('./cli/audit.ts')).auditCommand(),
  decide: async () => (await import('./cli/decide.ts')).decideCommand(),
  explain: async () => (await import('./cli/explain.ts')).explainCommand(),
  simulate: async () => (await import('./cli/simulate.ts')).simulateCommand(),
  replay: async () => (await import('./cli/replay.ts')).replayCommand(),
  diff: async () => (await import('./cli/diff.ts')).diffCommand(),
  suggest: async () => (await import('./cli/suggest.ts')).suggestCommand(),
  test: async () => (await import('./cli/test.ts')).testCommand(),
  bundle: async () => (await import('./cli/bundle.ts')).bundleCommand(),
  check: async () => (await import('./cli/check.ts')).checkCommand(),
  init: async () => (await import('./cli/init.ts')).initCommand(),
  redirect: async () => (await import('./cli/redirect.ts')).redirectCommand(),
  rollout: async () => (await import('./cli/rollout.ts')).rolloutCommand(),
  trust: async () => (await import('./cli/trust.ts')).trustCommand(),
};

const program = new Command(programName())
  .description('Policy enforcement point between an AI agent and its tools')
  .version(VERSION);

// Help, and words that are no verb, need all of them.
const [, , asked = ''] = process.argv;
for (const verb of Object.hasOwn(VERBS, asked) ? [asked] : Object.keys(VERBS)) {
  const load = VERBS[verb];
  if (load !== undefined) program.addCommand(await load());
}

misuseEndsWith2(program);

await program.parseAsync();

/** Commander exits with 1 on wrong use, which here means something else. */
function misuseEndsWith2(command: Command): void {
  command.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  for (const verb of command.commands) misuseEndsWith2(verb);
}
