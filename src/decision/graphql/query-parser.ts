/**
 * Parser of executable GraphQL documents: operations and fragments. Pure.
 */
import type { RegoValue } from '../rego-value.ts';
import { commentOf, KIND, type Node, node } from './node.ts';
import { TokenReader } from './token.ts';

/** @throws GraphqlError */
export function parseQuery(source: string, charge: (steps: number) => void): Node {
  return new QueryParser(source, charge).document();
}

const SCALARS = {
  int: KIND.int,
  float: KIND.float,
  string: KIND.string,
  block: KIND.block,
} as const;

export class QueryParser {
  protected readonly tokens: TokenReader;

  constructor(source: string, charge: (steps: number) => void) {
    this.tokens = new TokenReader(source, charge);
  }

  document(): Node {
    const { tokens } = this;
    const operations: Node[] = [];
    const fragments: Node[] = [];
    while (!tokens.is('end')) {
      if (tokens.is('name', 'fragment')) fragments.push(this.#fragmentDefinition());
      else operations.push(this.#operation());
    }
    return node({ Operations: operations, Fragments: fragments });
  }

  #operation(): Node {
    const { tokens } = this;
    const Comment = commentOf(tokens.comments());
    if (tokens.is('{')) {
      return node({ Operation: 'query', Name: '', SelectionSet: this.#selections() });
    }
    return node({
      Operation: this.operationType(),
      Name: tokens.is('name') ? tokens.next().value : '',
      VariableDefinitions: this.#variables(),
      Directives: this.directives(false),
      SelectionSet: this.#selections(),
      Comment,
    });
  }

  protected operationType(): string {
    const { kind, value } = this.tokens.next();
    const known = ['query', 'mutation', 'subscription'].includes(value);
    return kind === 'name' && known ? value : this.tokens.unexpected();
  }

  #variables(): readonly Node[] {
    return this.parenthesised(() => this.#variableDefinition());
  }

  #variableDefinition(): Node {
    const { tokens } = this;
    const Comment = commentOf(tokens.comments());
    const Variable = this.#variable();
    tokens.expect(':');
    return node({
      Variable,
      Type: this.typeReference(),
      DefaultValue: tokens.skip('=') ? this.value(true) : null,
      Directives: this.directives(false),
      Used: false,
      Comment,
    });
  }

  #variable(): string {
    this.tokens.expect('$');
    return this.name();
  }

  protected name(): string {
    return this.tokens.expect('name').value;
  }

  #selections(): readonly Node[] {
    if (!this.tokens.is('{')) this.tokens.unexpected();
    return this.tokens.between('{', '}', () =>
      this.tokens.is('...') ? this.#fragment() : this.#field(),
    );
  }

  #field(): Node {
    const { tokens } = this;
    const Comment = commentOf(tokens.comments());
    const Alias = this.name();
    return node({
      Alias,
      Name: tokens.skip(':') ? this.name() : Alias,
      Arguments: this.#arguments(false),
      Directives: this.directives(false),
      SelectionSet: tokens.is('{') ? this.#selections() : null,
      Comment,
    });
  }

  #arguments(constant: boolean): readonly Node[] {
    return this.parenthesised(() => {
      const Comment = commentOf(this.tokens.comments());
      const Name = this.name();
      this.tokens.expect(':');
      return node({ Name, Value: this.value(constant), Comment });
    });
  }

  protected parenthesised(item: () => Node): readonly Node[] {
    return this.tokens.between('(', ')', item);
  }

  #fragment(): Node {
    const { tokens } = this;
    const Comment = commentOf(tokens.comments());
    tokens.expect('...');
    if (tokens.is('name') && !tokens.is('name', 'on')) {
      return node({ Name: this.name(), Directives: this.directives(false), Comment });
    }
    const conditional = tokens.is('name', 'on');
    if (conditional) tokens.next();
    return node({
      TypeCondition: conditional ? this.name() : '',
      Directives: this.directives(false),
      SelectionSet: this.#selections(),
      Comment,
    });
  }

  #fragmentDefinition(): Node {
    const { tokens } = this;
    const Comment = commentOf(tokens.comments());
    tokens.expect('name', 'fragment');
    if (tokens.is('name', 'on')) tokens.unexpected();
    const Name = this.name();
    const VariableDefinition = this.#variables();
    tokens.expect('name', 'on');
    return node({
      Name,
      VariableDefinition,
      TypeCondition: this.name(),
      Directives: this.directives(false),
      SelectionSet: this.#selections(),
      Comment,
    });
  }

  protected value(constant: boolean): Node {
    const { tokens } = this;
    const literal = (Kind: number, Raw: string, Children: RegoValue = null) =>
      node({ Raw, Children, Kind, ExpectedTypeHasDefault: false });
    if (tokens.is('[')) {
      const items = tokens.between('[', ']', () => this.#child('', constant), false);
      return literal(KIND.list, '', items);
    }
    if (tokens.is('{')) {
      const fields = tokens.between('{', '}', () => this.#objectField(constant), false);
      return literal(KIND.object, '', fields);
    }
    if (tokens.is('$')) {
      return constant ? tokens.unexpected() : literal(KIND.variable, this.#variable());
    }
    const { kind, value } = tokens.next();
    if (kind in SCALARS) return literal(SCALARS[kind as keyof typeof SCALARS], value);
    if (kind !== 'name') tokens.unexpected();
    if (value === 'true' || value === 'false') return literal(KIND.boolean, value);
    return literal(value === 'null' ? KIND.null : KIND.enum, value);
  }

  #child(Name: string, constant: boolean): Node {
    return node({ Name, Value: this.value(constant) });
  }

  #objectField(constant: boolean): Node {
    const Comment = commentOf(this.tokens.comments());
    const Name = this.name();
    this.tokens.expect(':');
    return node({ Name, Value: this.value(constant), Comment });
  }

  protected directives(constant: boolean): readonly Node[] {
    const directives: Node[] = [];
    while (this.tokens.skip('@')) {
      directives.push(
        node({ Name: this.name(), Arguments: this.#arguments(constant), Location: '' }),
      );
    }
    return directives;
  }

  protected typeReference(): Node {
    const { tokens } = this;
    let NamedType = '';
    let Elem: Node | null = null;
    if (tokens.skip('[')) {
      Elem = this.typeReference();
      tokens.expect(']');
    } else NamedType = this.name();
    return node({ NamedType, Elem, NonNull: tokens.skip('!') });
  }
}
