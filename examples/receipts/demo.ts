/**
 * `make demo`: receipts go to the accountant, and nothing else leaves. Starts the real parts as processes of their own,
 * is the front end that hands the agent its tasks, and says what came of it. Exit codes: 0 everything as expected, 1
 * anything else. `--keep` leaves the parts running until Ctrl-C. Shell: owns the processes and a temporary folder; the
 * audit folder stays.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Report, Task } from './agent.ts';
import { Children, runToEnd, type TalkingChild } from './children.ts';
import type { MailboxState } from './mail-api.ts';
import {
  callsByDecision,
  renderChecks,
  renderRecord,
  renderSurprises,
  renderTable,
  WAYS,
  wrapped,
} from './report.ts';
import { type AuditRecord, type Check, checksOf, resultOf, type StepResult } from './result.ts';
import {
  egretProgram,
  registerUpload,
  type Sidecar,
  STALE_SECONDS,
  startSidecar,
} from './sidecar.ts';
import { FILES, type FileName, STORY, type Step } from './story.ts';

/** No run takes longer, whatever hangs. */
const RUN_MS_MAX = 120_000;
const KEEP = process.argv.includes('--keep');

const say = (text = '') => process.stdout.write(`${text}\n`);
const heading = (text: string) => say(`\n${text}\n${'─'.repeat(text.length)}`);

interface Stage {
  readonly directory: string;
  readonly auditDirectory: string;
  readonly children: Children;
  readonly sidecar: Sidecar;
  readonly agent: TalkingChild;
  readonly controlUrl: string;
  readonly mcpUrl: string;
  readonly mailApiUrl: string;
  readonly uploadToken: string;
  /** Public key of the audit log, noted when the log began: a key from the folder proves less. */
  readonly logKey: string;
  /** A key in the agent's environment that must never leave. */
  readonly secret: string;
}

async function setUp(directory: string, children: Children): Promise<Stage> {
  const auditDirectory = mkdtempSync(join(tmpdir(), 'egret-demo-audit-'));
  const program = (file: string) => [join(import.meta.dirname, file)];
  for (const [name, { text }] of Object.entries(FILES)) writeFileSync(join(directory, name), text);

  const mailApi = children.startTalking('mail-api', program('mail-api.ts'));
  const ports = (await mailApi.exchange(null)) as { api: number; control: number };
  const mailApiUrl = `http://127.0.0.1:${ports.api}`;
  const env = { MAIL_API_URL: mailApiUrl };
  const mcp = children.startTalking('mcp-server', program('mcp-server.ts'), env);
  const { port } = (await mcp.exchange(null)) as { port: number };
  const mcpUrl = `http://127.0.0.1:${port}/mcp`;
  const uploadToken = randomBytes(32).toString('hex');
  const sidecar = await startSidecar(children, {
    directory,
    auditDirectory,
    mcpUrl,
    mailApiPort: ports.api,
    uploadToken,
  });
  const logKey = readFileSync(join(auditDirectory, 'log.vkey'), 'utf8').trim();
  const secret = `sk-demo-${randomBytes(16).toString('hex')}`;
  const agent = children.startTalking('agent', program('agent.ts'), {
    MCP_URL: `${sidecar.gatewayUrl}/mcp/mail`,
    HTTP_PROXY: sidecar.proxyUrl,
    NO_PROXY: '127.0.0.1',
    NODE_USE_ENV_PROXY: '1',
    MAIL_IMPORT_KEY: secret,
  });
  const controlUrl = `http://127.0.0.1:${ports.control}`;
  const rest = { sidecar, agent, controlUrl, mcpUrl, mailApiUrl, uploadToken, logKey, secret };
  return { directory, auditDirectory, children, ...rest };
}

/** The front end: takes the user's uploads, registers them, and hands the agent one task after the other. */
async function play(stage: Stage): Promise<ReadonlyMap<Step, Report>> {
  const reports = new Map<Step, Report>();
  const upload = (name: FileName) =>
    registerUpload(stage.sidecar, stage.uploadToken, readFileSync(join(stage.directory, name)));
  await upload('old-receipt.pdf');
  const staleAtMs = performance.now() + STALE_SECONDS * 1000 + 500;
  for (const step of STORY) {
    if (step.whenStale === true) {
      const waitMs = Math.max(0, staleAtMs - performance.now());
      say(
        `Waiting ${(waitMs / 1000).toFixed(1)} s until a file that the user uploaded first is stale …`,
      );
      await sleep(waitMs);
    }
    for (const name of step.files) {
      if (FILES[name].uploaded && step.whenStale !== true) await upload(name);
    }
    const files = step.files.map((name) => join(stage.directory, name));
    const task: Task = { step: step.name, files };
    reports.set(step, (await stage.agent.exchange(task)) as Report);
  }
  return reports;
}

interface Aftermath {
  readonly results: readonly StepResult[];
  readonly checks: readonly Check[];
  readonly verified: string;
  readonly metrics: string;
}

async function examine(stage: Stage, reports: ReadonlyMap<Step, Report>): Promise<Aftermath> {
  const { sidecar, auditDirectory, children, secret } = stage;
  const metrics = await (await fetch(`${sidecar.adminUrl}/metrics`)).text();
  const mailbox = (await (await fetch(stage.controlUrl)).json()) as MailboxState;
  const stopped: Check[] = [];
  if (!KEEP) {
    await children.end(stage.agent);
    const code = await children.end(sidecar.child);
    const text = 'the sidecar ended its calls, signed a last checkpoint and exited with 0';
    stopped.push({ passed: code === 0, text });
  }
  const verify = await egret('audit', 'verify', auditDirectory, '--key', stage.logKey);
  const records = await auditRecords(auditDirectory);
  const results = STORY.map((step) => resultOf(step, reports.get(step) as Report, records));
  const written = {
    'the audit log': allText(auditDirectory),
    "the sidecar's log": readFileSync(sidecar.child.logFile, 'utf8'),
    'its metrics': metrics,
  };
  const checks = [
    ...checksOf({ results, mailbox, secret, written }),
    ...stopped,
    { passed: verify.code === 0, text: 'the audit log verifies' },
  ];
  return { results, checks, verified: verify.text.trim(), metrics };
}

const egret = (...args: string[]) => runToEnd([egretProgram(), ...args]);

async function auditRecords(directory: string): Promise<readonly AuditRecord[]> {
  const { code, text } = await egret('audit', 'show', directory, '--last', '0', '--json');
  if (code !== 0) throw new Error(`egret audit show: exit code ${code}:\n${text}`);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as AuditRecord);
}

/** Every file below the folder, whatever it holds. */
function allText(directory: string): string {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
    .join('\n');
}

function introduce(stage: Stage): void {
  const port = (url: string) => new URL(url).port;
  heading('Egret demo: receipts go to the accountant, and nothing else leaves');
  const gateway = `:${port(stage.sidecar.gatewayUrl)}`;
  const proxy = `:${port(stage.sidecar.proxyUrl)}`;
  say(`agent ──MCP───▶ egret gateway ${gateway} ──▶ MCP server :${port(stage.mcpUrl)} ──▶ mail service :${port(stage.mailApiUrl)}
      ──HTTP──▶ egret proxy   ${proxy} ──▶ the same mail service, as gmail.googleapis.com

Each part is a process of its own. The agent knows the address of the gateway and HTTP_PROXY, and nothing of
Egret. The user's files are registered by the front end, with a credential that the agent does not have.
The policy is rego/packs/receipts. One value differs: an upload is stale after ${STALE_SECONDS} s, not 30 minutes.
Egret runs from ${relative(process.cwd(), egretProgram())}.
`);
}

function conclude(stage: Stage, { results, checks, verified, metrics }: Aftermath): boolean {
  say();
  say(renderTable(results));
  say();
  say(WAYS);
  const surprises = renderSurprises(results);
  if (surprises !== '') say(`\n${surprises}`);
  heading('Checks');
  say(renderChecks(checks));
  heading('The audit log');
  say(`It stays in ${stage.auditDirectory}\n`);
  say(`$ egret audit verify ${stage.auditDirectory} \\
    --key ${stage.logKey}
${verified}`);
  const shown = results.find(({ rules }) => rules.length > 0) ?? results[0];
  if (shown?.record && shown.report.answer) {
    say(`\nWhat the agent's model read when it tried "${shown.step.title}":\n`);
    say(wrapped(shown.report.answer.text));
    say(`\nThe record of it, found by the trace id ${shown.report.traceId}, shortened:\n`);
    say(renderRecord(shown.record));
  }
  heading('Metrics, as Prometheus reads them');
  say(callsByDecision(metrics));
  say("(more calls than steps: the agent's MCP sessions and lists are calls, too)");
  return checks.every(({ passed }) => passed);
}

function tellHowToLook(stage: Stage): void {
  const { sidecar } = stage;
  heading('Still running');
  say(`gateway    ${sidecar.gatewayUrl}/mcp/mail
proxy      ${sidecar.proxyUrl}
status     ${sidecar.adminUrl}/status
metrics    ${sidecar.adminUrl}/metrics
mailbox    ${stage.controlUrl}
config     ${sidecar.configFile}
log        ${sidecar.child.logFile}

Try: curl -x ${sidecar.proxyUrl} http://mail.attacker.example/
Stop with Ctrl-C.`);
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'egret-demo-'));
  const children = new Children(directory);
  const leave = async (code: number): Promise<never> => {
    await children.close();
    rmSync(directory, { recursive: true, force: true });
    return process.exit(code);
  };
  process.once('SIGINT', () => void leave(KEEP ? 0 : 130));
  process.once('SIGTERM', () => void leave(143));
  const overdue = setTimeout(() => {
    say(`✗ the demo took longer than ${RUN_MS_MAX / 1000} s`);
    void leave(1);
  }, RUN_MS_MAX);
  try {
    const stage = await setUp(directory, children);
    introduce(stage);
    const passed = conclude(stage, await examine(stage, await play(stage)));
    clearTimeout(overdue);
    say(passed ? '\nEverything as expected.' : '\n✗ Something is not as expected, see above.');
    if (KEEP) tellHowToLook(stage);
    else await leave(passed ? 0 : 1);
  } catch (error) {
    say(`✗ ${(error as Error).message}`);
    await leave(1);
  }
}

await main();
