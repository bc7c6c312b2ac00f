/**
 * The agent. A chat front end writes tasks to its standard input, one JSON line each; it tries them and writes what it
 * got, one JSON line each. Of its world it knows MCP_URL and HTTP_PROXY, nothing else. A language model would choose
 * the calls; here they are written down, so that every run is the same. Shell: owns its standard streams.
 */
import { createInterface } from 'node:readline';
import { ATTEMPTS } from './attempt.ts';
import { type Answer, openTools, type Tools } from './tools.ts';

export interface Task {
  /** A key of ATTEMPTS. */
  readonly step: string;
  /** Files at hand. */
  readonly files: readonly string[];
}

export interface Report {
  readonly step: string;
  /** W3C trace id under which the agent made its calls. */
  readonly traceId: string;
  /** Null when there was no answer at all; then `error` says why. */
  readonly answer: Answer | null;
  readonly error: string | null;
}

async function attempt(tools: Tools, task: Task): Promise<Report> {
  tools.nextStep();
  const report = { step: task.step, traceId: tools.traceId() };
  try {
    const tried = ATTEMPTS[task.step];
    if (tried === undefined) throw new Error('no such step');
    return { ...report, answer: await tried({ tools, files: task.files }), error: null };
  } catch (error) {
    const { message, cause } = error as Error;
    const because = cause instanceof Error ? `: ${cause.message}` : '';
    return { ...report, answer: null, error: `${message}${because}` };
  }
}

async function main(): Promise<void> {
  const { MCP_URL = '', HTTP_PROXY = '' } = process.env;
  const tools = openTools(new URL(MCP_URL), new URL(HTTP_PROXY));
  for await (const line of createInterface({ input: process.stdin })) {
    const report = await attempt(tools, JSON.parse(line) as Task);
    process.stdout.write(`${JSON.stringify(report)}\n`);
  }
  await tools.close();
}

if (import.meta.main) await main();
