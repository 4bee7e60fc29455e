package canon

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// contract is culvert.wit, read by a parser that shares no code with the Go types. It proves that both agree.
type contract struct {
	tokens []string
	// types contains the structures of types, with names replaced by their definition, by "interface.name".
	types map[string]string
	// enums contains the cases of enums, by the name of the enum.
	enums map[string][]string
	// functions contains the signatures, as [Func.Signature] returns them.
	functions []string
	// worlds contains the interfaces that a world exports.
	worlds map[string][]string
	// iface is the interface that is being read.
	iface string
}

func readContract(t *testing.T) *contract {
	// A % marks an identifier that is also a keyword of WIT.
	text := regexp.MustCompile(`//[^\n]*|%`).ReplaceAllString(definition(t), "")
	c := &contract{
		tokens: regexp.MustCompile(`[a-z0-9@:.-]*[a-z0-9]|->|[{}()<>,;=_.:]`).FindAllString(text, -1),
		types:  map[string]string{},
		enums:  map[string][]string{},
		worlds: map[string][]string{},
	}
	for len(c.tokens) > 0 {
		switch word := c.take(); word {
		case "package":
			if name := c.take(); name != wit.Package+"@"+wit.Version {
				t.Fatalf("culvert.wit is %s, the Go package %s@%s", name, wit.Package, wit.Version)
			}
			c.expect(";")
		case "interface":
			c.iface = c.take()
			c.readInterface()
		case "world":
			c.readWorld()
		default:
			t.Fatalf("culvert.wit: unexpected %q", word)
		}
	}
	return c
}

// take removes the next token and returns it.
func (c *contract) take() string {
	t := c.tokens[0]
	c.tokens = c.tokens[1:]
	return t
}

// peek returns the next token.
func (c *contract) peek() string { return c.tokens[0] }

// expect removes the next token, which must be s.
func (c *contract) expect(s string) {
	if got := c.take(); got != s {
		panic(fmt.Sprintf("culvert.wit, interface %s: expected %q, found %q before %q", c.iface, s, got,
			c.tokens[:min(5, len(c.tokens))]))
	}
}

func (c *contract) readInterface() {
	for c.expect("{"); c.peek() != "}"; {
		switch word := c.take(); word {
		case "use":
			source := strings.TrimSuffix(c.take(), ".")
			if c.peek() == "." {
				c.take()
			}
			for c.take(); ; c.take() { // a brace, then commas
				name := c.take()
				c.types[c.iface+"."+name] = c.types[source+"."+name]
				if c.peek() == "}" {
					break
				}
			}
			c.expect("}")
			c.expect(";")
		case "record", "variant", "enum":
			name := c.take()
			c.types[c.iface+"."+name] = c.readBody(word, name)
		case "type":
			name := c.take()
			c.expect("=")
			c.types[c.iface+"."+name] = c.readType()
			c.expect(";")
		default:
			c.readFunction(strings.TrimSuffix(word, ":"))
		}
	}
	c.expect("}")
}

func (c *contract) readBody(shape, name string) string {
	var parts []string
	for c.expect("{"); c.peek() != "}"; {
		part := strings.TrimSuffix(c.take(), ":")
		switch {
		case shape == "record":
			if c.peek() == ":" {
				c.take()
			}
			part += ": " + c.readType()
		case c.peek() == "(":
			c.take()
			part += "(" + c.readType() + ")"
			c.expect(")")
		}
		parts = append(parts, part)
		if c.peek() == "," {
			c.take()
		}
	}
	c.expect("}")
	if shape == "enum" {
		c.enums[name] = parts
		return fmt.Sprintf("enum(%d)", len(parts))
	}
	return shape + " {" + strings.Join(parts, ", ") + "}"
}

func (c *contract) readType() string {
	switch name := c.take(); name {
	case "list", "option":
		c.expect("<")
		inner := c.readType()
		c.expect(">")
		return name + "<" + inner + ">"
	case "result":
		c.expect("<")
		ok := c.readType()
		c.expect(",")
		failure := c.readType()
		c.expect(">")
		return "result<" + ok + ", " + failure + ">"
	default:
		if full, ok := c.types[c.iface+"."+name]; ok {
			return full
		}
		return name
	}
}

func (c *contract) readFunction(name string) {
	if c.peek() == ":" {
		c.take()
	}
	c.expect("func")
	var params []string
	for c.expect("("); c.peek() != ")"; {
		c.take()
		if c.peek() == ":" {
			c.take()
		}
		params = append(params, c.readType())
		if c.peek() == "," {
			c.take()
		}
	}
	c.expect(")")
	f := c.iface + "#" + name + ": func(" + strings.Join(params, ", ") + ")"
	if c.peek() == "->" {
		c.take()
		f += " -> " + c.readType()
	}
	c.expect(";")
	c.functions = append(c.functions, f)
}

func (c *contract) readWorld() {
	name := c.take()
	for c.expect("{"); c.peek() != "}"; {
		switch word := c.take(); word {
		case "export":
			c.worlds[name] = append(c.worlds[name], c.take())
		case "include":
			c.worlds[name] = append(c.worlds[name], c.worlds[c.take()]...)
		default: // import host
			c.take()
		}
		c.expect(";")
	}
	c.expect("}")
}

// Package wit has the functions of culvert.wit, with the same signatures.
func TestGoFunctionsMatchContract(t *testing.T) {
	c := readContract(t)
	var got []string
	for name := range Interfaces {
		for _, f := range Functions(name) {
			got = append(got, f.Signature())
			fromExpression := FuncOf(f.Interface, f.Method, methodExpressions()[f.Interface+"."+f.Method])
			if fromExpression.Signature() != f.Signature() {
				t.Errorf("%s by its method expression: expected %s, found %s", f.Method, f.Signature(),
					fromExpression.Signature())
			}
		}
	}
	slices.Sort(got)
	slices.Sort(c.functions)
	assert.True(t, len(c.functions) == 24, "expected 24 functions in culvert.wit, found %d", len(c.functions))
	diff := cmp.Diff(c.functions, got)
	assert.True(t, diff == "", "culvert.wit (-) and package wit (+) differ:\n%s", diff)
}

// methodExpressions returns method expressions of the contract's interfaces, as guests pass them to FuncOf.
func methodExpressions() map[string]any {
	expressions := map[string]any{}
	for name, typ := range Interfaces {
		for i := range typ.NumMethod() {
			m := typ.Method(i)
			in := []reflect.Type{typ}
			for j := range m.Type.NumIn() {
				in = append(in, m.Type.In(j))
			}
			var out []reflect.Type
			for j := range m.Type.NumOut() {
				out = append(out, m.Type.Out(j))
			}
			expressions[name+"."+m.Name] = reflect.Zero(reflect.FuncOf(in, out, false)).Interface()
		}
	}
	return expressions
}

// In Go, the names of an enum's cases are only constants, so they are read from the source.
func TestGoConstantsMatchContract(t *testing.T) {
	c := readContract(t)
	got := constants(t)
	for name, cases := range c.enums {
		consts := got[camel(name)]
		if len(consts) != len(cases) {
			t.Errorf("%s: the contract has %v, Go has %v", name, cases, consts)
			continue
		}
		for i, want := range cases {
			if !strings.HasSuffix(consts[i], camel(want)) {
				t.Errorf("%s, case %d: the contract has %s, Go has %s", name, i, want, consts[i])
			}
		}
	}
	assert.True(t, len(c.enums) == 8, "expected 8 enums in culvert.wit, found %d", len(c.enums))
}

// camel returns a name of the contract in CamelCase.
func camel(name string) string {
	var b strings.Builder
	for _, part := range strings.Split(name, "-") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// constants returns the names of the constants of package wit that count with iota, by their type.
func constants(t *testing.T) map[string][]string {
	files, err := filepath.Glob("../*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("the source of package wit is missing", err)
	}
	names := map[string][]string{}
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, 0)
		require.NoError(t, err)
		for _, d := range parsed.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			typ := ""
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				if id, ok := v.Type.(*ast.Ident); ok {
					typ = id.Name
				} else if v.Values != nil {
					typ = ""
				}
				if typ != "" {
					names[typ] = append(names[typ], v.Names[0].Name)
				}
			}
		}
	}
	return names
}

// definition returns the text of culvert.wit.
func definition(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../culvert.wit")
	require.NoError(t, err)
	return string(text)
}
