package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The assembly in the repository is what the Go source gives.
func TestAssemblyIsUpToDate(t *testing.T) {
	for _, folder := range []string{"odata/decode/fast", "odata/encode", "smt/kernel"} {
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
