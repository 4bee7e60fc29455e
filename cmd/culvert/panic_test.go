package main

import (
	"bytes"
	"strings"
	"testing"
)

type mistakenWriter struct{}

func (mistakenWriter) Write([]byte) (int, error) { panic("a mistake in a command") }

// A mistake in a command ends the command with exit code 1 and its stack.
func TestPanicsAreTheCommands(t *testing.T) {
	var stderr bytes.Buffer
	if code := execute(t.Context(), []string{"version"}, mistakenWriter{}, &stderr); code != exitFailed {
		t.Errorf("expected exit %d, found %d", exitFailed, code)
	}
	for _, want := range []string{"a mistake in culvert", "a mistake in a command", "panic_test.go"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("expected %q, found %s", want, &stderr)
		}
	}
}
