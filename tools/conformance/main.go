// Compiles OPA's own conformance cases, which ship in its Go module, to WebAssembly and to plans.
//
//	conformance <cases directory> <output directory>
//
// Writes cases.jsonl (one Case a line, in the order of their notes), wasm/<hash>.wasm and plan/<hash>.json. A case that
// does not compile keeps its line, with the reason. Nothing is written in place: the caller moves the finished directory.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/test/cases"
	"github.com/open-policy-agent/opa/v1/types"
)

const workers = 2

// Case is one line of the output. JSON documents stay texts, so that no reader rounds a number.
type Case struct {
	Note                string            `json:"note"`
	Family              string            `json:"family"`
	Query               string            `json:"query"`
	Modules             []string          `json:"modules"`
	Builtins            []string          `json:"builtins"`
	Wasm                string            `json:"wasm,omitempty"`
	Plan                string            `json:"plan,omitempty"`
	CompileError        string            `json:"compile_error,omitempty"`
	Data                string            `json:"data,omitempty"`
	Input               string            `json:"input,omitempty"`
	InputTerm           string            `json:"input_term,omitempty"`
	WantDefined         *bool             `json:"want_defined,omitempty"`
	WantResult          string            `json:"want_result,omitempty"`
	WantErrorCode       string            `json:"want_error_code,omitempty"`
	WantError           string            `json:"want_error,omitempty"`
	SortBindings        bool              `json:"sort_bindings,omitempty"`
	IgnoreGeneratedVars bool              `json:"ignore_generated_vars,omitempty"`
	StrictError         bool              `json:"strict_error,omitempty"`
	Env                 map[string]string `json:"env,omitempty"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: conformance <cases directory> <output directory>")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(from, to string) error {
	set, err := cases.Load(from)
	if err != nil {
		return err
	}
	for _, folder := range []string{"wasm", "plan"} {
		if err := os.MkdirAll(filepath.Join(to, folder), 0o755); err != nil {
			return err
		}
	}
	registerTestBuiltins()
	rego.RegisterPlugin(planTarget, planCapture{})
	all := set.Sorted().Cases
	lines := make([]Case, len(all))
	failures := make([]error, len(all))
	next := make(chan int)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := range next {
				lines[i], failures[i] = compiled(all[i], to)
			}
		})
	}
	for i := range all {
		next <- i
	}
	close(next)
	group.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	return writeLines(filepath.Join(to, "cases.jsonl"), lines)
}

func writeLines(path string, lines []Case) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	buffer := bufio.NewWriter(file)
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	for i := range lines {
		if err := encoder.Encode(lines[i]); err != nil {
			return err
		}
	}
	if err := buffer.Flush(); err != nil {
		return err
	}
	return file.Close()
}

// compiled returns an error only when a file cannot be written or a case has no JSON form.
func compiled(tc cases.TestCase, to string) (Case, error) {
	line, err := described(tc)
	if err != nil {
		return line, err
	}
	ctx := context.Background()
	program, err := rego.New(options(tc)...).Compile(ctx)
	if err != nil {
		line.CompileError = err.Error()
		return line, nil
	}
	if line.Wasm, err = store(to, "wasm", ".wasm", program.Bytes); err != nil {
		return line, err
	}
	query, err := rego.New(append(options(tc), rego.Target(planTarget))...).PrepareForEval(ctx)
	if err != nil {
		line.CompileError = "plan: " + err.Error()
		return line, nil
	}
	// The plan comes out of the evaluation that the plugin is asked for.
	var plan *ir.Policy
	if _, err := query.Eval(context.WithValue(ctx, planKey{}, &plan)); err != nil {
		return line, err
	}
	for _, builtin := range plan.Static.BuiltinFuncs {
		line.Builtins = append(line.Builtins, builtin.Name)
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return line, err
	}
	line.Plan, err = store(to, "plan", ".json", text)
	return line, err
}

func options(tc cases.TestCase) []func(*rego.Rego) {
	all := []func(*rego.Rego){
		rego.Query(tc.Query),
		rego.SetRegoVersion(ast.RegoV1),
		rego.Capabilities(ast.CapabilitiesForThisVersion(ast.CapabilitiesExperimentalKeywords(tc.ExperimentalKeywords))),
	}
	for i, source := range tc.Modules {
		all = append(all, rego.Module(fmt.Sprintf("module-%d.rego", i), source))
	}
	return all
}

func described(tc cases.TestCase) (Case, error) {
	line := Case{
		Note:                tc.Note,
		Family:              filepath.Base(filepath.Dir(tc.Filename)),
		Query:               tc.Query,
		Modules:             tc.Modules,
		Builtins:            []string{},
		WantDefined:         tc.WantDefined,
		WantErrorCode:       deref(tc.WantErrorCode),
		WantError:           deref(tc.WantError),
		SortBindings:        tc.SortBindings,
		IgnoreGeneratedVars: tc.IgnoreGeneratedVars,
		StrictError:         tc.StrictError,
		Env:                 tc.Env,
	}
	if line.Modules == nil {
		line.Modules = []string{}
	}
	var err error
	if tc.InputTerm != nil {
		// Written again, because engines need not read all of Rego, like a comma before a brace.
		term, err := ast.ParseTerm(*tc.InputTerm)
		if err != nil {
			return line, err
		}
		line.InputTerm = term.String()
	}
	if tc.Data != nil {
		if line.Data, err = text(*tc.Data, err); err != nil {
			return line, err
		}
	}
	if tc.Input != nil {
		if line.Input, err = text(*tc.Input, err); err != nil {
			return line, err
		}
	}
	if tc.WantResult != nil {
		line.WantResult, err = text(*tc.WantResult, err)
	}
	return line, err
}

func text(value any, err error) (string, error) {
	if err != nil {
		return "", err
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err = encoder.Encode(value)
	return strings.TrimSpace(out.String()), err
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// store writes content under its hash, so that equal programs share one file.
func store(to, folder, extension string, content []byte) (string, error) {
	hash := sha256.Sum256(content)
	name := filepath.Join(folder, hex.EncodeToString(hash[:12])+extension)
	path := filepath.Join(to, name)
	if _, err := os.Stat(path); err == nil {
		return name, nil
	}
	partial, err := os.CreateTemp(filepath.Join(to, folder), "*.partial")
	if err != nil {
		return "", err
	}
	if _, err := partial.Write(content); err != nil {
		return "", err
	}
	if err := partial.Close(); err != nil {
		return "", err
	}
	return name, os.Rename(partial.Name(), path)
}

// planTarget names the target plugin through which OPA hands out the plan of a query.
const planTarget = "egret-plan"

type planKey struct{}

type planCapture struct{ policy *ir.Policy }

func (planCapture) IsTarget(name string) bool { return name == planTarget }

func (planCapture) PrepareForEval(_ context.Context, policy *ir.Policy, _ ...rego.PrepareOption) (rego.TargetPluginEval, error) {
	return planCapture{policy}, nil
}

func (capture planCapture) Eval(ctx context.Context, _ *rego.EvalContext, _ ast.Value) (ast.Value, error) {
	*ctx.Value(planKey{}).(**ir.Policy) = capture.policy
	return ast.NewSet(), nil
}

// registerTestBuiltins declares what only OPA's tests have.
func registerTestBuiltins() {
	rego.RegisterBuiltin1(&rego.Function{
		Name: "test.sleep",
		Decl: types.NewFunction(types.Args(types.S), types.Nl),
	}, func(rego.BuiltinContext, *ast.Term) (*ast.Term, error) { return ast.NullTerm(), nil })
}
