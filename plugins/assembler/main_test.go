package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Each kernel can be assembled, and a second run has the same text.
func TestKernelsAreAssembled(t *testing.T) {
	for _, k := range kernels {
		first, err := generate(filepath.Join("..", "..", k.folder), k.files)
		require.NoError(t, err, k.folder)
		second, err := generate(filepath.Join("..", "..", k.folder), k.files)
		assert.True(t, err == nil && bytes.Equal(second, first) && bytes.Contains(first, []byte("TEXT")),
			"%s: expected the same functions twice, found %d and %d bytes (%v)", k.folder, len(first), len(second), err)
	}
}

// SP is restored wherever a kernel with an address returns, and operands that addresses cannot contain are rejected.
func TestKernelsWithAddresses(t *testing.T) {
	assemble := func(body string) (string, error) {
		folder := t.TempDir()
		source := "package p\n\ntype S struct{ A, B int; Next *S }\n\nfunc touch[T any](*T) {}\n\n" + body
		require.NoError(t, os.WriteFile(filepath.Join(folder, "kernel.go"), []byte(source), 0o644))
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
	require.NoError(t, err)
	returns := strings.Count(text, "\tRET\n") // the last one is unreachable
	restoringReturn := regexp.MustCompile(`Set R(\d+)\s+Get R0\s+I32WrapI64\s+Set SP\s+Get SP\s+` +
		`Get R(\d+)\s+I64Store ret\+16\(FP\)\s+RET\n`)
	if got := len(restoringReturn.FindAllString(text, -1)); returns != 3 || got != 2 {
		t.Errorf("expected that 2 of 3 returns restore SP, found %d of %d:\n%s", got, returns, text)
	}
	assert.True(t, !strings.Contains(text, "I64ExtendI32U\n\tI32WrapI64") && strings.Contains(text, "Get PC_B\n"),
		"expected addresses without conversions, found\n%s", text)
	for name, body := range map[string]string{
		"more than two addresses": "// kernel(a, b, c): three\nfunc goThree(a, b, c *S) int { return a.A + b.A + c.A }",
		"goes to the address e": "// kernel(e): from a call\nfunc goCall(s *S) int {\n\te := s\n\te, n := next(s)\n" +
			"\treturn e.A + n\n}\n\nfunc next(s *S) (*S, int) {\n\ts.A = 1\n\treturn s.Next, 1\n}",
	} {
		_, err := assemble(body)
		assert.Error(t, err, name)
	}
}
