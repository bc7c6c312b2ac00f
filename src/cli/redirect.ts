/**
 * `egret redirect`: the kernel's half of the fence around one pod, from the same file that drives the sidecar. Exit
 * codes: 0 done, 1 the fence is open (verify), 2 wrong use or the kernel refused. Shell: changes nftables rules through
 * redirect/, writes to standard output.
 */
import { Command } from 'commander';
import { ConfigError, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { devices, install, RedirectError, remove } from '../redirect/nft.ts';
import { type FenceReport, tryFence } from '../redirect/probe.ts';
import { type FencePlan, planOf, renderRuleset } from '../redirect/ruleset.ts';
import { openStandIns } from '../redirect/stand-in.ts';

const OPEN = 1;
const UNUSABLE = 2;

export function redirectCommand(): Command {
  const redirect = new Command('redirect').description(
    'lead the traffic of this pod to the sidecar, and refuse the rest',
  );
  const configured = (name: string, description: string) =>
    redirect
      .command(name)
      .description(description)
      .requiredOption('--config <file>', 'configuration (YAML) with capture');
  configured('install', 'install the rules, or take the place of older ones without a gap')
    .addHelpText(
      'after',
      '\nNeeds nft and the capability NET_ADMIN in the network namespace of the pod; root is not needed.\nExit codes: 0 installed, 2 not installed and nothing changed.',
    )
    .action(({ config }: { config: string }) => guarded(() => runInstall(config)));
  configured('verify', 'dial test addresses and prove that the redirect and the reject work')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nNeeds no capability. Where no sidecar listens yet, verify listens in its place for the moment.\nExit codes: 0 the fence stands, 1 it is open or nothing is proven, 2 wrong use.',
    )
    .action(({ config, json }: { config: string; json?: true }) =>
      guarded(() => runVerify(config, json === true)),
    );
  configured('print', 'print the rules without installing them')
    .addHelpText('after', '\nExit codes: 0 printed, 2 no configuration or no capture in it.')
    .action(({ config }: { config: string }) =>
      guarded(() => {
        process.stdout.write(renderRuleset(planFrom(config).plan, devices()));
      }),
    );
  redirect
    .command('remove')
    .description('take the rules away: the pod can then reach anything')
    .requiredOption('--open-the-fence', 'say that this is wanted')
    .addHelpText('after', '\nExit codes: 0 removed or not there, 2 not removed.')
    .action(() => guarded(remove));
  return redirect;
}

async function runInstall(file: string): Promise<void> {
  const { plan } = planFrom(file);
  const { packetSocketsFenced } = await install(plan);
  const captured = plan.ports.map(([from, to]) => `${from} to ${to}`).join(', ');
  process.stdout.write(
    `The fence stands: TCP ${captured}, DNS to ${plan.dnsPort}; only user id ${plan.uid} goes out.\n`,
  );
  if (packetSocketsFenced) return;
  process.stderr.write(
    'This kernel cannot fence packet sockets (no nftables egress hook): drop NET_RAW from the agent.\n',
  );
}

async function runVerify(file: string, json: boolean): Promise<void> {
  const { plan, capture } = planFrom(file);
  const listeners = plan.ports.map(([, listen]) => listen);
  const standIns = await openStandIns(capture.hosts, listeners, plan.dnsPort);
  try {
    const report = await tryFence({ ...plan, ...capture.probe });
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : rendered(report));
    if (!report.ok) process.exitCode = OPEN;
  } finally {
    await standIns.close();
  }
}

function rendered({ ok, checks }: FenceReport): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.map(({ name, ok: good, found, expected }) => {
    const outcome = good ? found : `found ${found}, expected ${expected}`;
    return `${good ? 'ok  ' : 'FAIL'} ${name.padEnd(width)}  ${outcome}\n`;
  });
  return `${lines.join('')}${ok ? 'The fence stands.' : 'The fence does not stand.'}\n`;
}

interface Planned {
  readonly plan: FencePlan;
  readonly capture: NonNullable<Config['capture']>;
}

function planFrom(file: string): Planned {
  const config = loadConfig(file);
  const planned = planOf(config);
  if (!planned.ok || config.capture === undefined) {
    throw new ConfigError(`${file}: ${planned.ok ? 'capture: found nothing' : planned.error}`);
  }
  return { plan: planned.plan, capture: config.capture };
}

/** Prints what a person can mend and sets exit code 2; anything else is a bug and is thrown on. */
async function guarded(work: () => void | Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ConfigError) && !(error instanceof RedirectError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = UNUSABLE;
  }
}
