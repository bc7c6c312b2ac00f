/**
 * Whether a GraphQL query fits a schema: the rules of the library that OPA uses, one verdict instead of a list of
 * errors. Pure.
 */
import { checkMergeable } from './mergeable.ts';
import {
  child,
  children,
  fail,
  flag,
  KIND,
  type Node,
  named,
  text,
  texts,
  typeName,
} from './node.ts';
import { isRequired, type Schema, unique } from './schema.ts';
import { fieldDefinition, selectionKind } from './selection.ts';
import { checkValue, type Expected, type Operation } from './value.ts';

const STEPS_PER_NODE = 5000;
const LISTS_DEEP_MAX = 3;

/** @throws GraphqlError when the query does not fit. */
export function validateQuery(
  schema: Schema,
  document: Node,
  decoded: boolean,
  charge: (steps: number) => void,
): void {
  new Validation(schema, document, decoded, charge).run();
}

class Validation {
  readonly #schema: Schema;
  readonly #operations: readonly Node[];
  readonly #fragments: ReadonlyMap<string, Node>;
  readonly #decoded: boolean;
  readonly #charge: (steps: number) => void;
  readonly #spread = new Set<string>();
  #operation: Operation | null = null;
  #visited = new Set<string>();

  constructor(schema: Schema, document: Node, decoded: boolean, charge: (steps: number) => void) {
    this.#schema = schema;
    this.#operations = children(document, 'Operations');
    const fragments = children(document, 'Fragments');
    unique(fragments.map((fragment) => text(fragment, 'Name')));
    this.#fragments = new Map(fragments.map((one) => [text(one, 'Name'), one]));
    this.#decoded = decoded;
    this.#charge = charge;
  }

  run(): void {
    const names = this.#operations.map((operation) => text(operation, 'Name'));
    if (names.length > 1 && names.includes('')) fail('operation without a name');
    unique(names);
    for (const fragment of this.#fragments.keys()) this.#checkCycle(fragment, []);
    for (const operation of this.#operations) this.#checkOperation(operation);
    for (const name of this.#fragments.keys()) if (!this.#spread.has(name)) fail('unused fragment');
    this.#operation = null;
    for (const fragment of this.#fragments.values()) {
      this.#visited = new Set();
      this.#checkFragment(fragment);
    }
  }

  #checkCycle(name: string, path: readonly string[]): void {
    this.#charge(STEPS_PER_NODE);
    if (path.includes(name)) fail('fragment of itself');
    for (const next of this.#spreadsIn(this.#fragments.get(name))) {
      this.#checkCycle(next, [...path, name]);
    }
  }

  #spreadsIn(of: Node | undefined): readonly string[] {
    this.#charge(STEPS_PER_NODE);
    return children(of, 'SelectionSet').flatMap((selection) =>
      selectionKind(selection, this.#decoded) === 'spread'
        ? [text(selection, 'Name')]
        : this.#spreadsIn(selection),
    );
  }

  #checkOperation(operation: Node): void {
    const kind = text(operation, 'Operation') || 'query';
    const root = this.#schema.roots.get(kind) ?? fail(`no ${kind}`);
    const variables = children(operation, 'VariableDefinitions');
    unique(variables.map((variable) => text(variable, 'Variable')));
    this.#operation = { variables, used: new Set() };
    this.#visited = new Set();
    for (const variable of variables) {
      const type = child(variable, 'Type') ?? fail('no type');
      const definition = this.#schema.types.get(typeName(type)) ?? fail('unknown type');
      if (!['SCALAR', 'ENUM', 'INPUT_OBJECT'].includes(text(definition, 'Kind'))) fail('no input');
      const value = child(variable, 'DefaultValue');
      if (value !== undefined) this.#checkValue(value, { type, hasDefault: false });
      this.#checkDirectives(children(variable, 'Directives'), 'VARIABLE_DEFINITION');
    }
    this.#checkDirectives(children(operation, 'Directives'), kind.toUpperCase());
    this.#checkSelections(root, operation);
    const { used } = this.#operation;
    if (!variables.every((variable) => used.has(text(variable, 'Variable')))) fail('unused');
    if (kind === 'subscription') this.#checkSubscription(operation);
    this.#checkMergeable(root, operation);
  }

  #checkMergeable(parent: Node | undefined, of: Node): void {
    checkMergeable(this.#schema, this.#fragments, this.#decoded, parent, of, this.#charge);
  }

  #checkFragment(fragment: Node): void {
    const type = this.#schema.types.get(text(fragment, 'TypeCondition')) ?? fail('unknown type');
    if (!isComposite(type)) fail('fragment of a type without fields');
    this.#checkDirectives(children(fragment, 'Directives'), 'FRAGMENT_DEFINITION');
    this.#checkSelections(type, fragment);
    this.#checkMergeable(type, fragment);
  }

  #checkSelections(parent: Node | undefined, of: Node): void {
    for (const selection of children(of, 'SelectionSet')) {
      this.#charge(STEPS_PER_NODE);
      const kind = selectionKind(selection, this.#decoded);
      if (kind === 'field') this.#checkField(parent, selection);
      else if (kind === 'inline') this.#checkInline(parent, selection);
      else this.#checkSpread(parent, selection);
    }
  }

  #checkField(parent: Node | undefined, field: Node): void {
    const name = text(field, 'Name');
    const definition = fieldDefinition(parent, name);
    if (definition === undefined && parent !== undefined) fail(`no field ${name}`);
    const type = child(definition, 'Type');
    const next = type === undefined ? undefined : this.#schema.types.get(typeName(type));
    this.#checkArguments(definition, children(field, 'Arguments'));
    this.#checkDirectives(children(field, 'Directives'), 'FIELD');
    this.#checkSelections(next, field);
    if (next !== undefined) {
      const leaf = ['ENUM', 'SCALAR'].includes(text(next, 'Kind'));
      if (leaf !== (children(field, 'SelectionSet').length === 0)) fail('selection and type');
    }
    if (name === '__schema' || name === '__type') this.#checkDepth(field, 0, []);
  }

  /** Introspection that goes from list to list is a way to ask for a lot. */
  #checkDepth(of: Node, lists: number, path: readonly string[]): void {
    this.#charge(STEPS_PER_NODE);
    const deeper = ['fields', 'interfaces', 'possibleTypes', 'inputFields'];
    const depth = deeper.includes(text(of, 'Name')) ? lists + 1 : lists;
    if (depth >= LISTS_DEEP_MAX) fail('introspection too deep');
    for (const selection of children(of, 'SelectionSet')) {
      if (selectionKind(selection, this.#decoded) !== 'spread') {
        this.#checkDepth(selection, depth, path);
        continue;
      }
      const name = text(selection, 'Name');
      const fragment = this.#fragments.get(name);
      if (fragment === undefined || path.includes(name)) continue;
      this.#checkDepth(new Map([...fragment, ['Name', '']]), depth, [...path, name]);
    }
  }

  #checkArguments(definition: Node | undefined, given: readonly Node[]): void {
    unique(given.map((argument) => text(argument, 'Name')));
    const known = children(definition, 'Arguments');
    for (const argument of given) {
      const own = named(known, text(argument, 'Name'));
      if (own === undefined && definition !== undefined) fail('unknown argument');
      const type = child(own, 'Type');
      const fallback = child(own, 'DefaultValue');
      const hasDefault = fallback !== undefined && fallback.get('Kind') !== KIND.null;
      const value = child(argument, 'Value') ?? fail('no value');
      this.#checkValue(value, type === undefined ? null : { type, hasDefault });
    }
    for (const required of known.filter(isRequired)) {
      if (named(given, text(required, 'Name')) === undefined) fail('missing argument');
    }
  }

  #checkValue(value: Node, expected: Expected | null): void {
    checkValue(this.#schema, this.#operation, value, expected, this.#charge);
  }

  #checkDirectives(directives: readonly Node[], location: string): void {
    const seen = new Set<string>();
    for (const directive of directives) {
      this.#charge(STEPS_PER_NODE);
      const name = text(directive, 'Name');
      const definition = this.#schema.directives.get(name) ?? fail('unknown directive');
      if (!texts(definition, 'Locations').includes(location)) fail('directive elsewhere');
      if (seen.has(name) && !flag(definition, 'IsRepeatable')) fail('directive twice');
      seen.add(name);
      this.#checkArguments(definition, children(directive, 'Arguments'));
    }
  }

  #checkInline(parent: Node | undefined, inline: Node): void {
    const condition = text(inline, 'TypeCondition');
    const type = condition === '' ? parent : this.#schema.types.get(condition);
    if (condition !== '' && type === undefined) fail('unknown type');
    if (condition !== '' && type !== undefined && !isComposite(type)) fail('no fields');
    this.#checkDirectives(children(inline, 'Directives'), 'INLINE_FRAGMENT');
    this.#checkSelections(type, inline);
    if (condition !== '') this.#checkPossible(parent, type);
  }

  #checkSpread(parent: Node | undefined, spread: Node): void {
    const name = text(spread, 'Name');
    const fragment = this.#fragments.get(name) ?? fail('unknown fragment');
    if (this.#operation !== null) this.#spread.add(name);
    this.#checkDirectives(children(spread, 'Directives'), 'FRAGMENT_SPREAD');
    const type = this.#schema.types.get(text(fragment, 'TypeCondition'));
    if (!this.#visited.has(name)) {
      this.#visited.add(name);
      this.#checkDirectives(children(fragment, 'Directives'), 'FRAGMENT_DEFINITION');
      this.#checkSelections(type, fragment);
    }
    this.#checkPossible(parent, type);
  }

  /** An object can be of both types. */
  #checkPossible(parent: Node | undefined, type: Node | undefined): void {
    if (parent === undefined || type === undefined || !isComposite(type)) return;
    const kind = text(parent, 'Kind');
    const possible = (of: Node) => this.#schema.possible.get(text(of, 'Name')) ?? [];
    if (!isComposite(parent)) return;
    const parents = new Set(kind === 'OBJECT' ? [text(parent, 'Name')] : possible(parent));
    this.#charge(possible(type).length * 100 + parents.size * 100);
    if (!possible(type).some((name) => parents.has(name))) fail('fragment that never applies');
  }

  #checkSubscription(operation: Node): void {
    const names = new Set<string>();
    const seen = new Set<string>();
    const collect = (of: Node | undefined): void => {
      for (const selection of children(of, 'SelectionSet')) {
        const kind = selectionKind(selection, this.#decoded);
        const name = kind === 'inline' ? '' : text(selection, 'Name');
        if (kind === 'field') names.add(name);
        else if (kind === 'inline') collect(selection);
        else if (!seen.has(name)) {
          seen.add(name);
          collect(this.#fragments.get(name));
        }
      }
    };
    collect(operation);
    if (names.size > 1 || [...names].some((name) => name.startsWith('__'))) fail('one field only');
  }
}

const isComposite = (type: Node) => ['OBJECT', 'INTERFACE', 'UNION'].includes(text(type, 'Kind'));
