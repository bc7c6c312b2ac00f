/**
 * One test's own sidecar and tools, which end with the test whatever happens. Shell: owns what it starts.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type SidecarProcess, type SidecarSetup, startSidecarProcess } from './sidecar-process.ts';
import { type Answer, type RawTool, startRawTool, startTool, type Tool } from './tool-server.ts';

export async function stageTool(t: TestContext, answer?: Answer): Promise<Tool> {
  const tool = await startTool(answer);
  t.after(() => tool.close());
  return tool;
}

export async function stageRawTool(
  t: TestContext,
  onRequest: Parameters<typeof startRawTool>[0],
): Promise<RawTool> {
  const tool = await startRawTool(onRequest);
  t.after(() => tool.close());
  return tool;
}

/** A sidecar whose directory goes with the test. */
export async function stageSidecar(
  t: TestContext,
  setup: SidecarSetup = {},
): Promise<SidecarProcess> {
  const sidecar = await startSidecarProcess(setup);
  t.after(async () => {
    await sidecar.kill();
    if (setup.directory === undefined) sidecar.remove();
  });
  return sidecar;
}

/** A sidecar with a mail server behind `/mcp/mail`. */
export async function stageMail(
  t: TestContext,
  setup: SidecarSetup = {},
): Promise<{ readonly sidecar: SidecarProcess; readonly tool: Tool }> {
  const tool = await stageTool(t);
  const mcpServers = { mail: { url: `${tool.url}/mcp` } };
  const config = { mcpServers, tools: { gmail: { url: tool.url } }, ...setup.config };
  return { tool, sidecar: await stageSidecar(t, { ...setup, config }) };
}

export const auditOf = (sidecar: { readonly directory: string }) =>
  join(sidecar.directory, 'audit');

/** Removes a directory when the test ends. */
export function removeAfter(t: TestContext, directory: string): string {
  t.after(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}
