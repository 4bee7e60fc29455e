package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The assembly in the repository is what the Go source gives.
func TestAssemblyIsUpToDate(t *testing.T) {
	for _, folder := range []string{"odata/decode/fast", "smt/kernel"} {
		source, err := os.ReadFile("../" + folder + "/kernel.go")
		if err != nil {
			t.Fatal(err)
		}
		directive := regexp.MustCompile(`(?m)^//go:generate go run \S+/assembler (.*)$`).FindSubmatch(source)
		if directive == nil {
			t.Fatalf("%s: kernel.go does not say how it is assembled", folder)
		}
		want, err := generate("../"+folder, strings.Fields(string(directive[1])))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile("../" + folder + "/kernel_wasm.s")
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("kernel_wasm.s is not what kernel.go gives: run go generate in plugins/%s (%v)", folder, err)
		}
	}
}

// SP is the caller's again wherever a kernel that has an address in it returns, and what addresses cannot hold is
// refused.
func TestAddresses(t *testing.T) {
	assemble := func(body string) (string, error) {
		folder := t.TempDir()
		source := "package p\n\ntype S struct{ A, B int; Next *S }\n\nfunc touch[T any](*T) {}\n\n" + body
		if err := os.WriteFile(filepath.Join(folder, "kernel.go"), []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		text, err := generate(folder, []string{"kernel.go"})
		return string(text), err
	}
	text, err := assemble(`// kernel(e, s): two of them
func goTwo(s *S, n int) int {
	e := s.Next
	touch(e)
	for n != 0 {
		if e.A == n {
			return e.B
		}
		e = e.Next
		n--
	}
	return s.A
}`)
	if err != nil {
		t.Fatal(err)
	}
	returns := strings.Count(text, "\tRET\n")
	back := regexp.MustCompile(`Set R(\d+)\s+Get R0\s+I32WrapI64\s+Set SP\s+Get SP\s+` +
		`Get R(\d+)\s+I64Store ret\+16\(FP\)\s+RET\n`)
	if found := len(back.FindAllString(text, -1)); returns != 3 || found != 2 {
		// the third is after the end, which is never reached
		t.Errorf("%d of %d returns give SP back:\n%s", found, returns, text)
	}
	if strings.Contains(text, "I64ExtendI32U\n\tI32WrapI64") || !strings.Contains(text, "Get PC_B\n") {
		t.Errorf("expected addresses that are used as they are:\n%s", text)
	}
	for name, body := range map[string]string{
		"more than two addresses": "// kernel(a, b, c): three\nfunc goThree(a, b, c *S) int { return a.A + b.A + c.A }",
		"goes to the address e": "// kernel(e): from a call\nfunc goCall(s *S) int {\n\te := s\n\te, n := next(s)\n" +
			"\treturn e.A + n\n}\n\nfunc next(s *S) (*S, int) {\n\ts.A = 1\n\treturn s.Next, 1\n}",
	} {
		if _, err := assemble(body); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("expected %q, found %v", name, err)
		}
	}
}
