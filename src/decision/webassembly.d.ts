/**
 * The part of the WebAssembly JavaScript interface that the engine uses. TypeScript declares it only together with
 * a browser's globals, which do not exist here. Follows the W3C WebAssembly JavaScript Interface. Pure.
 */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array<ArrayBuffer>);
    static imports(module: Module): { module: string; name: string; kind: string }[];
    static exports(module: Module): { name: string; kind: string }[];
  }
  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, unknown>>);
    readonly exports: Readonly<Record<string, unknown>>;
  }
  class Memory {
    constructor(limits: { initial: number; maximum?: number });
    readonly buffer: ArrayBuffer;
  }
  interface Global {
    value: number;
  }
  class CompileError extends Error {}
  class RuntimeError extends Error {}
}
