package main

import (
	"bytes"
	"os"
	"testing"
)

// The assembly in the repository is what the Go source gives.
func TestAssemblyIsUpToDate(t *testing.T) {
	want, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../kernel_wasm.s")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("kernel_wasm.s is not what kernel.go gives: run go generate in plugins/odata/decode/fast (%v)", err)
	}
}
